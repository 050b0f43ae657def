#include <stdio.h>
#include <string.h>

#include "tests/emulation/block.h"
#include "tests/emulation/memory.h"
#include "tests/emulation/runtime.h"

/* The one device: it answers as an H100 would, but for its size, where a program asks for limits. */
using namespace emulation;

namespace
{
enum { MAJOR = 9, MINOR = 0 };
/* Few, so that small tests lie on both sides of decisions that look at it. */
enum { MULTIPROCESSORS = 4 };

const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
};
} // namespace

extern "C" {
const char *cudaGetErrorString(cudaError_t error)
{
    for (const auto &known : errors)
        if (known.error == error)
            return known.text;
    return "unrecognized error code";
}

const char *cudaGetErrorName(cudaError_t error)
{
    for (const auto &known : errors)
        if (known.error == error)
            return known.name;
    return "unrecognized error code";
}

cudaError_t cudaGetDeviceCount(int *count)
{
    call call("cudaGetDeviceCount");
    *count = call.refused() == cudaSuccess ? 1 : 0;
    return call.refused();
}

cudaError_t cudaSetDevice(int device)
{
    call call("cudaSetDevice");
    return call.refused() != cudaSuccess ? call.refused()
                                         : call.finish(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDevice(int *device)
{
    call call("cudaGetDevice");
    *device = 0;
    return call.refused();
}

cudaError_t cudaSetDeviceFlags(unsigned)
{
    return call("cudaSetDeviceFlags").refused();
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    call call("cudaGetDeviceProperties");
    if (call.refused() != cudaSuccess || device != 0)
        return call.finish(call.refused() != cudaSuccess ? call.refused() : cudaErrorInvalidDevice);
    memset(properties, 0, sizeof *properties);
    snprintf(properties->name, sizeof properties->name, "emulated GPU");
    properties->totalGlobalMem = memory_limit();
    properties->sharedMemPerBlock = 48 * 1024;
    properties->sharedMemPerBlockOptin = max_shared_bytes;
    properties->sharedMemPerMultiprocessor = 228 * 1024;
    properties->major = MAJOR, properties->minor = MINOR;
    properties->multiProcessorCount = MULTIPROCESSORS;
    properties->maxThreadsPerBlock = max_threads;
    properties->warpSize = warp_size;
    properties->regsPerBlock = 65536;
    properties->l2CacheSize = 50 << 20;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int)
{
    call call("cudaDeviceGetAttribute");
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = max_threads;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = MULTIPROCESSORS;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = MAJOR;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = MINOR;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = max_shared_bytes;
        break;
    default:
        return call.finish(cudaErrorInvalidValue);
    }
    return call.refused();
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int)
{
    call call("cudaDeviceGetPCIBusId");
    snprintf(text, (size_t)size, "0000:00:00.0");
    return call.refused();
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}
}
