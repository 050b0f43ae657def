#include <time.h>

#include "tests/emulation/runtime.h"

using namespace emulation;

static double milliseconds_now()
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static bool has_passed(const CUevent_st *event)
{
    return event->stream == nullptr || event->stream->n_done >= event->position;
}

extern "C" {
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    call call("cudaEventCreateWithFlags");
    if (call.refused() == cudaSuccess)
        *event = new CUevent_st();
    return call.refused();
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    call call("cudaEventCreate");
    return call.refused() != cudaSuccess ? call.refused() : cudaEventCreateWithFlags(event, 0);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    call call("cudaEventDestroy");
    if (event == nullptr)
        return call.finish(cudaErrorInvalidResourceHandle);
    if (lasting_error == cudaSuccess && event->stream != nullptr)
        event->stream->run(event->position); /* work that was enqueued with it still writes to it */
    delete event;
    return call.refused();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    call call("cudaEventRecord");
    if (call.refused() != cudaSuccess)
        return call.refused();
    CUstream_st *on = stream_of(stream);
    if (on->capture != nullptr)
        return call.finish(cudaErrorStreamCaptureUnsupported); /* a GPU can; nobody here needs it */
    on->enqueue([event] { return event->milliseconds = milliseconds_now(), cudaSuccess; });
    event->stream = on;
    event->position = on->n_enqueued;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    call call("cudaEventSynchronize");
    if (call.refused() != cudaSuccess || event->stream == nullptr)
        return call.refused();
    return call.finish(event->stream->run(event->position));
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    call call("cudaEventQuery");
    if (call.refused() != cudaSuccess || has_passed(event))
        return call.refused();
    cudaError_t error = event->stream->run(event->stream->n_done + 1);
    return call.finish(error != cudaSuccess ? error : cudaErrorNotReady);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end)
{
    call call("cudaEventElapsedTime");
    if (call.refused() != cudaSuccess)
        return call.refused();
    if (start->stream == nullptr || end->stream == nullptr)
        return call.finish(cudaErrorInvalidResourceHandle);
    if (!has_passed(start) || !has_passed(end))
        return call.finish(cudaErrorNotReady);
    *milliseconds = (float)(end->milliseconds - start->milliseconds);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    call call("cudaStreamWaitEvent");
    if (call.refused() != cudaSuccess || event->stream == nullptr)
        return call.refused();
    CUstream_st *other = event->stream;
    uint64_t position = event->position;
    stream_of(stream)->enqueue([=] { return other->run(position); });
    return cudaSuccess;
}
}
