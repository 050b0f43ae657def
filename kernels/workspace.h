#ifndef MILLRACE_KERNELS_WORKSPACE_H
#define MILLRACE_KERNELS_WORKSPACE_H

#include "kernels/backend.h"

/* How much scratch a device with these options reserves when it is opened. */
struct workspace {
    size_t size_bytes;
    bool estimated; /* for a GPU, in a build without the CUDA module, which alone knows the size */
};

struct workspace workspace_of_cpu(const struct device_options *options);
struct workspace workspace_of_gpu(const struct device_options *options);

#endif
