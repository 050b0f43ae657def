#ifndef MILLRACE_KERNELS_WORKSPACE_H
#define MILLRACE_KERNELS_WORKSPACE_H

#include "kernels/backend.h"

/* The scratch that a device of these options reserves when it is opened. */
struct workspace {
    size_t size_bytes;
    bool estimated; /* of a GPU, by a build without the CUDA module, which alone knows */
};

struct workspace workspace_of_cpu(const struct device_options *options);
struct workspace workspace_of_gpu(const struct device_options *options);

#endif
