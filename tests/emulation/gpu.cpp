#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vector>

#include "tests/emulation/block.h"
#include "tests/emulation/memory.h"
#include "tests/emulation/runtime.h"

/*
 * The devices: they answer as an H100 would, but for its size, where a program asks for limits.
 * MILLRACE_EMULATED_DEVICES says how many the machine has (default 1); CUDA_VISIBLE_DEVICES chooses among
 * them and puts them in order, by number. A process uses one of them, since they share what this process has
 * of memory.
 */
using namespace emulation;

namespace
{
enum { MAJOR = 9, MINOR = 0 };
/* Few, so that small tests lie on both sides of decisions that look at it. */
enum { MULTIPROCESSORS = 4 };

/* The numbers of the machine's GPUs that the process sees, in its order; a number that is not there ends the
 * list. */
const std::vector<int> &visible()
{
    static const std::vector<int> seen = [] {
        const char *all = getenv("MILLRACE_EMULATED_DEVICES"), *chosen = getenv("CUDA_VISIBLE_DEVICES");
        int n = all != nullptr ? atoi(all) : 1;
        std::vector<int> numbers;
        if (chosen == nullptr)
            for (int i = 0; i < n; i++)
                numbers.push_back(i);
        for (char *end; chosen != nullptr && *chosen != '\0'; chosen = *end == ',' ? end + 1 : end) {
            long number = strtol(chosen, &end, 10);
            if (end == chosen || number < 0 || number >= n)
                break;
            numbers.push_back((int)number);
        }
        return numbers;
    }();
    return seen;
}

bool is_there(int device)
{
    return device >= 0 && device < (int)visible().size();
}

int in_use;

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
    *count = call.refused() == cudaSuccess ? (int)visible().size() : 0;
    return *count > 0 || call.refused() != cudaSuccess ? call.refused() : call.finish(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device)
{
    call call("cudaSetDevice");
    if (call.refused() != cudaSuccess || !is_there(device))
        return call.finish(call.refused() != cudaSuccess ? call.refused() : cudaErrorInvalidDevice);
    in_use = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    call call("cudaGetDevice");
    *device = in_use;
    return call.refused();
}

cudaError_t cudaSetDeviceFlags(unsigned)
{
    return call("cudaSetDeviceFlags").refused();
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    call call("cudaGetDeviceProperties");
    if (call.refused() != cudaSuccess || !is_there(device))
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
    const char *slice = getenv("MILLRACE_EMULATED_SLICE"); /* of the GPU (MIG); its address is the GPU's */
    properties->uuid.bytes[0] = (char)visible()[(size_t)device];
    properties->uuid.bytes[1] = (char)(slice != nullptr ? 1 + atoi(slice) : 0);
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

/* In a domain that no machine has. */
cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int device)
{
    call call("cudaDeviceGetPCIBusId");
    if (call.refused() != cudaSuccess || !is_there(device))
        return call.finish(call.refused() != cudaSuccess ? call.refused() : cudaErrorInvalidDevice);
    snprintf(text, (size_t)size, "fffe:%02x:00.0", visible()[(size_t)device]);
    return cudaSuccess;
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
