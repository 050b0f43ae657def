#include <string.h>

#include "tests/emulation/runtime.h"
#include "tests/emulation/state.h"

/*
 * Copies (CUDA Runtime API, "API synchronization behavior"). From the device to pageable memory: done when
 * the call returns. All others: when the stream gets there, also from pageable memory, which a GPU that can
 * read it may do. What is not device memory where it should be is refused.
 */
using namespace emulation;

namespace
{
enum cudaMemcpyKind kind_of(const void *to, const void *from, enum cudaMemcpyKind kind)
{
    if (kind != cudaMemcpyDefault)
        return kind;
    bool to_device = is_device(to, 1), from_device = is_device(from, 1);
    return to_device     ? from_device ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice
           : from_device ? cudaMemcpyDeviceToHost
                         : cudaMemcpyHostToHost;
}

bool places_fit(const void *to, const void *from, size_t size, enum cudaMemcpyKind kind)
{
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (is_device(to, size) == to_device && is_device(from, size) == from_device)
        return true;
    note_fault("a copy's memory is not of the kind, or not of the size, that the call says");
    return false;
}

cudaError_t copy(void *to, const void *from, size_t size, enum cudaMemcpyKind kind, CUstream_st *stream)
{
    kind = kind_of(to, from, kind);
    if (size == 0)
        return cudaSuccess;
    if (!places_fit(to, from, size, kind))
        return cudaErrorInvalidValue;
    bool pageable_source = kind == cudaMemcpyHostToDevice && !is_pinned(from);
    bool pageable_target = kind == cudaMemcpyDeviceToHost && !is_pinned(to);
    if (stream->capture != nullptr && (pageable_source || pageable_target)) {
        stream->capture_broken = true;
        return cudaErrorStreamCaptureUnsupported;
    }
    stream->enqueue([=] { return memmove(to, from, size), cudaSuccess; });
    return pageable_target ? stream->run_all() : cudaSuccess;
}
} // namespace

extern "C" {
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    call call("cudaMemcpyAsync");
    if (call.refused() != cudaSuccess)
        return call.refused();
    return call.finish(copy(to, from, size, kind, stream_of(stream)));
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t size, enum cudaMemcpyKind kind)
{
    call call("cudaMemcpy");
    if (call.refused() != cudaSuccess)
        return call.refused();
    cudaError_t error = copy(to, from, size, kind, stream_of(nullptr));
    return call.finish(error != cudaSuccess ? error : stream_of(nullptr)->run_all());
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    call call("cudaMemcpy2DAsync");
    if (call.refused() != cudaSuccess)
        return call.refused();
    if (width > to_pitch || width > from_pitch)
        return call.finish(cudaErrorInvalidValue);
    for (size_t row = 0; row < height; row++) {
        cudaError_t error = copy((char *)to + row * to_pitch, (const char *)from + row * from_pitch, width,
                                 kind, stream_of(stream));
        if (error != cudaSuccess)
            return call.finish(error);
    }
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t size, cudaStream_t stream)
{
    call call("cudaMemsetAsync");
    if (call.refused() != cudaSuccess)
        return call.refused();
    if (size > 0 && !is_device(to, size))
        return call.finish(cudaErrorInvalidValue);
    stream_of(stream)->enqueue([=] { return memset(to, value, size), cudaSuccess; });
    return cudaSuccess;
}

cudaError_t cudaMemset(void *to, int value, size_t size)
{
    call call("cudaMemset");
    cudaError_t error = cudaMemsetAsync(to, value, size, nullptr);
    return error != cudaSuccess ? error : call.finish(stream_of(nullptr)->run_all());
}
}
