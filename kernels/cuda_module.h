#ifndef MILLRACE_KERNELS_CUDA_MODULE_H
#define MILLRACE_KERNELS_CUDA_MODULE_H

#include "kernels/backend.h"

/*
 * What libmillrace_cuda.so shows to the programs: one object called `millrace_cuda_module`. The programs
 * never link CUDA; kernels/backend.c opens the library with dlopen, so that a build with CUDA also starts
 * where there is no driver.
 */
enum { CUDA_MODULE_VERSION = 5 }; /* one more with every change of this struct or of kernels/backend.h */

struct collective;

struct cuda_module {
    int version; /* CUDA_MODULE_VERSION of the library; first, whatever follows */
    const struct backend *backend;
    /* Whether there is a driver and a GPU. UNAVAILABLE says which of them is missing. */
    enum status (*probe)(struct error *error);
    /* Makes an NCCL communicator of the ranks of `base` (worker/collective/collective_nccl.c says more);
     * NULL: built without NCCL. */
    enum status (*nccl_create)(struct collective *base, struct device *device, struct collective **collective,
                               struct error *error);
    /* The scratch that a device of these options reserves. */
    size_t (*workspace_bytes)(const struct device_options *options);
};

/* What nccl_create is where the build has NCCL; all ranks of `base` call it together, each with its GPU open,
 * and where one fails all return an error. `base` is borrowed: it carries what is in host memory. (Defined in
 * worker/collective/collective_nccl.c.) */
enum status collective_nccl_create(struct collective *base, struct device *device,
                                   struct collective **collective, struct error *error) __attribute__((weak));

/*
 * Opens the library that MILLRACE_CUDA_MODULE names, else libmillrace_cuda.so beside the program or in
 * ../lib. It stays open as long as the process lives. NOT_FOUND: there is none; UNAVAILABLE: there is one
 * that cannot be used, and why. (Defined in kernels/cuda_module.c, in the programs.)
 */
enum status cuda_module_find(const struct cuda_module **module, struct error *error);

#endif
