#include "kernels/cuda/device.h"

#include <stdio.h>

/* True for failures after which CUDA refuses everything in this process: a kernel failed while it ran, or
 * memory is damaged. */
static bool is_sticky(cudaError_t result)
{
    static const cudaError_t sticky[] = {cudaErrorECCUncorrectable,   cudaErrorIllegalAddress,
                                         cudaErrorLaunchTimeout,      cudaErrorAssert,
                                         cudaErrorHardwareStackError, cudaErrorIllegalInstruction,
                                         cudaErrorMisalignedAddress,  cudaErrorInvalidAddressSpace,
                                         cudaErrorInvalidPc,          cudaErrorLaunchFailure};
    for (size_t i = 0; i < sizeof sticky / sizeof sticky[0]; i++)
        if (result == sticky[i])
            return true;
    return false;
}

/* Says what to do about CUDA's commonest errors; "" when there is nothing to add to CUDA's own words. */
static const char *advice(cudaError_t result)
{
    if (result == cudaErrorMemoryAllocation)
        return "; use a smaller --batch-tokens, more ranks, or --precision fp8";
    if (result == cudaErrorNoKernelImageForDevice)
        return "; this build has no code for this GPU: build with its architecture in "
               "CMAKE_CUDA_ARCHITECTURES";
    return is_sticky(result)
               ? "; the GPU refuses all further work of this process, which has to be started again"
               : "";
}

bool device_check(struct device *device, cudaError_t result, const char *what)
{
    if (result == cudaSuccess)
        return true;
    (void)cudaGetLastError(); /* clears it, so that a later, innocent call does not report it */
    failure_keep(&device->failure,
                 result == cudaErrorMemoryAllocation ? STATUS_RESOURCE_EXHAUSTED : STATUS_INTERNAL,
                 "GPU %d, %s: %s (%s)%s", device->index, what, cudaGetErrorString(result),
                 cudaGetErrorName(result), advice(result));
    return false;
}

void device_tell(struct device *device, const char *line)
{
    if (device->told != NULL)
        device->told(device->told_context, line);
}

void *device_scratch(struct device *device, const char *operation, size_t size_bytes)
{
    if (size_bytes <= device->scratch_bytes)
        return device->scratch;
    failure_keep(&device->failure, STATUS_INTERNAL, "%s wants %zu bytes of scratch; the device reserved %zu",
                 operation, size_bytes, device->scratch_bytes);
    return NULL;
}

/* Says how much was wanted, and how much there is. */
static void say_no_room(struct device *device, size_t size_bytes)
{
    size_t n_free = 0, total = 0;
    (void)cudaGetLastError();
    (void)cudaMemGetInfo(&n_free, &total);
    const double mib = 1024.0 * 1024;
    failure_keep(
        &device->failure, STATUS_RESOURCE_EXHAUSTED,
        "GPU %d has no room for %.1f MiB more: %.1f of its %.1f MiB are free; use a smaller --batch-tokens, "
        "more ranks, or --precision fp8",
        device->index, (double)size_bytes / mib, (double)n_free / mib, (double)total / mib);
}

void *device_allocate(struct device *device, size_t size_bytes)
{
    void *memory = NULL;
    if (device->failure.status != STATUS_OK)
        return NULL;
    cudaError_t result = cudaMalloc(&memory, size_bytes > 0 ? size_bytes : 1);
    if (result == cudaErrorMemoryAllocation)
        say_no_room(device, size_bytes);
    else
        device_check(device, result, "reserving memory");
    if (result != cudaSuccess)
        return NULL;
    if (device_check(device, cudaMemsetAsync(memory, 0, size_bytes > 0 ? size_bytes : 1, device->stream),
                     "clearing memory"))
        return memory;
    (void)cudaFree(memory);
    return NULL;
}

void device_release(struct device *device, void *memory)
{
    if (memory != NULL)
        device_check(device, cudaFree(memory), "freeing memory");
}
