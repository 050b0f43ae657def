#include "tests/emulation/runtime.h"

/* A recorded stream is the list of its works, which a launch enqueues once more, with the arguments that they
 * had. */
using namespace emulation;

extern "C" {
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode)
{
    call call("cudaStreamBeginCapture");
    if (call.refused() != cudaSuccess)
        return call.refused();
    if (stream == nullptr || stream->capture != nullptr)
        return call.finish(cudaErrorStreamCaptureUnsupported);
    stream->capture = new CUgraph_st();
    stream->capture_broken = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    call call("cudaStreamEndCapture");
    *graph = nullptr;
    if (stream == nullptr || stream->capture == nullptr)
        return call.finish(cudaErrorInvalidValue);
    CUgraph_st *recorded = stream->capture;
    stream->capture = nullptr;
    if (call.refused() == cudaSuccess && !stream->capture_broken) {
        *graph = recorded;
        return cudaSuccess;
    }
    delete recorded;
    return call.finish(call.refused() != cudaSuccess ? call.refused() : cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    call call("cudaStreamIsCapturing");
    *status = stream_of(stream)->capture == nullptr ? cudaStreamCaptureStatusNone
              : stream->capture_broken              ? cudaStreamCaptureStatusInvalidated
                                                    : cudaStreamCaptureStatusActive;
    return call.refused();
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *instance, cudaGraph_t graph, unsigned long long)
{
    call call("cudaGraphInstantiate");
    if (call.refused() == cudaSuccess)
        *instance = new CUgraphExec_st{graph->works, graph->retained};
    return call.refused();
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t instance, cudaStream_t stream)
{
    call call("cudaGraphLaunch");
    if (call.refused() == cudaSuccess)
        for (const work &work : instance->works)
            stream_of(stream)->enqueue(work);
    return call.refused();
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    call call("cudaGraphDestroy");
    delete graph;
    return call.refused();
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t instance)
{
    call call("cudaGraphExecDestroy");
    delete instance;
    return call.refused();
}
}
