#include "tests/emulation/memory.h"

#include <map>
#include <stdlib.h>
#include <string.h>

#include "tests/emulation/runtime.h"

/* Memory of the device and pinned memory of the host: ordinary memory, in two lists, so that what is mixed up
 * is refused and a sanitizer sees where a block ends. Device memory starts filled with NaN. */
namespace emulation
{
namespace
{
std::map<const char *, size_t> device_blocks, pinned_blocks;
size_t used;

bool inside(const std::map<const char *, size_t> &blocks, const void *memory, size_t size_bytes)
{
    const char *address = (const char *)memory;
    auto after = blocks.upper_bound(address);
    if (after == blocks.begin())
        return false;
    const auto &block = *std::prev(after);
    return address + size_bytes <= block.first + block.second;
}

void *take(std::map<const char *, size_t> &blocks, size_t size, int fill)
{
    constexpr size_t alignment = 256; /* what cudaMalloc promises */
    void *memory = nullptr;
    if (posix_memalign(&memory, alignment, size > 0 ? size : 1) != 0)
        return nullptr;
    memset(memory, fill, size);
    blocks[(const char *)memory] = size;
    return memory;
}

bool give_back(std::map<const char *, size_t> &blocks, void *memory, size_t *size)
{
    auto block = blocks.find((const char *)memory);
    if (block == blocks.end())
        return false;
    *size = block->second;
    blocks.erase(block);
    free(memory);
    return true;
}
} // namespace

size_t &memory_limit()
{
    static size_t limit = getenv("MILLRACE_EMULATED_MEMORY") != nullptr
                              ? strtoull(getenv("MILLRACE_EMULATED_MEMORY"), nullptr, 10)
                              : (size_t)4 << 30;
    return limit;
}

size_t memory_used()
{
    return used;
}

bool is_pinned(const void *memory)
{
    return inside(pinned_blocks, memory, 1);
}

bool is_device(const void *memory, size_t size_bytes)
{
    return inside(device_blocks, memory, size_bytes);
}
} // namespace emulation

using namespace emulation;

extern "C" {
cudaError_t cudaMalloc(void **memory, size_t size)
{
    call call("cudaMalloc");
    if (call.refused() != cudaSuccess)
        return call.refused();
    if (size > memory_limit() || used > memory_limit() - size)
        return call.finish(cudaErrorMemoryAllocation);
    *memory = size > 0 ? take(device_blocks, size, 0xff) : nullptr;
    used += size;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory)
{
    call call("cudaFree");
    size_t size = 0;
    if (memory == nullptr)
        return call.refused();
    if (lasting_error == cudaSuccess)
        cudaDeviceSynchronize(); /* waits for kernels that may use it */
    if (!give_back(device_blocks, memory, &size))
        return call.finish(cudaErrorInvalidValue);
    used -= size;
    return call.refused();
}

cudaError_t cudaHostAlloc(void **memory, size_t size, unsigned)
{
    call call("cudaHostAlloc");
    if (call.refused() != cudaSuccess)
        return call.refused();
    *memory = take(pinned_blocks, size, 0xa5);
    return call.finish(*memory != nullptr ? cudaSuccess : cudaErrorMemoryAllocation);
}

cudaError_t cudaMallocHost(void **memory, size_t size)
{
    call call("cudaMallocHost");
    return call.refused() != cudaSuccess ? call.refused() : cudaHostAlloc(memory, size, 0);
}

cudaError_t cudaFreeHost(void *memory)
{
    call call("cudaFreeHost");
    size_t size;
    if (memory != nullptr && !give_back(pinned_blocks, memory, &size))
        return call.finish(cudaErrorInvalidValue);
    return call.refused();
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *memory)
{
    call call("cudaPointerGetAttributes");
    attributes->type = is_pinned(memory)      ? cudaMemoryTypeHost
                       : is_device(memory, 1) ? cudaMemoryTypeDevice
                                              : cudaMemoryTypeUnregistered;
    return call.refused();
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    call call("cudaMemGetInfo");
    *total_bytes = memory_limit();
    *free_bytes = memory_limit() > used ? memory_limit() - used : 0;
    return call.refused();
}
}
