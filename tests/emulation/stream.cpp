#include <set>
#include <stdint.h>

#include "tests/emulation/runtime.h"
#include "tests/emulation/state.h"

using namespace emulation;

namespace
{
CUstream_st default_stream;
std::set<CUstream_st *> streams;

cudaError_t run_all_streams()
{
    cudaError_t error = default_stream.run_all();
    for (CUstream_st *stream : streams)
        if (error == cudaSuccess && stream->capture == nullptr)
            error = stream->run_all();
    return error;
}
} // namespace

void CUstream_st::enqueue(work work)
{
    if (capture != nullptr) {
        capture->works.push_back(std::move(work));
        return;
    }
    queue.push_back(std::move(work));
    n_enqueued++;
}

cudaError_t CUstream_st::run(uint64_t until)
{
    while (n_done < until && !queue.empty()) {
        work work = std::move(queue.front());
        queue.pop_front();
        n_done++;
        cudaError_t error = lasting_error != cudaSuccess ? lasting_error : work();
        if (error != cudaSuccess)
            return lasting_error = error;
    }
    return lasting_error;
}

cudaError_t CUstream_st::run_all()
{
    if (capture != nullptr) {
        capture_broken = true;
        return cudaErrorStreamCaptureUnsupported;
    }
    return run(n_enqueued);
}

CUstream_st *emulation::stream_of(cudaStream_t stream)
{
    return stream != nullptr ? stream : &default_stream;
}

static bool shape_fits(const grid &grid)
{
    uint64_t threads = (uint64_t)grid.block_size.x * grid.block_size.y * grid.block_size.z;
    return threads >= 1 && threads <= max_threads && grid.blocks.x >= 1 && grid.blocks.x <= INT32_MAX &&
           grid.blocks.y >= 1 && grid.blocks.y <= 65535 && grid.blocks.z >= 1 && grid.blocks.z <= 65535 &&
           grid.shared_bytes <= max_shared_bytes;
}

cudaError_t emulation::enqueue_launch(const grid &grid, cudaStream_t stream)
{
    call call("launch");
    if (call.refused() != cudaSuccess)
        return call.refused();
    if (!shape_fits(grid))
        return call.finish(cudaErrorInvalidConfiguration);
    stream_of(stream)->enqueue([grid] { return run_grid(grid) ? cudaSuccess : cudaErrorLaunchFailure; });
    return cudaSuccess;
}

extern "C" {
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    call call("cudaStreamCreateWithFlags");
    if (call.refused() == cudaSuccess)
        streams.insert(*stream = new CUstream_st());
    return call.refused();
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    call call("cudaStreamCreate");
    return call.refused() != cudaSuccess ? call.refused() : cudaStreamCreateWithFlags(stream, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    call call("cudaStreamDestroy");
    if (streams.erase(stream) == 0)
        return call.finish(cudaErrorInvalidResourceHandle);
    if (lasting_error == cudaSuccess)
        stream->run_all();
    delete stream->capture;
    delete stream;
    return call.refused();
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    call call("cudaStreamSynchronize");
    return call.refused() != cudaSuccess ? call.refused() : call.finish(stream_of(stream)->run_all());
}

/* Every question lets the stream do one more piece of work. */
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    call call("cudaStreamQuery");
    if (call.refused() != cudaSuccess)
        return call.refused();
    CUstream_st &self = *stream_of(stream);
    if (self.n_done == self.n_enqueued)
        return cudaSuccess;
    cudaError_t error = self.run(self.n_done + 1);
    return call.finish(error != cudaSuccess ? error : cudaErrorNotReady);
}

cudaError_t cudaDeviceSynchronize(void)
{
    call call("cudaDeviceSynchronize");
    return call.refused() != cudaSuccess ? call.refused() : call.finish(run_all_streams());
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *context)
{
    call call("cudaLaunchHostFunc");
    if (call.refused() == cudaSuccess)
        stream_of(stream)->enqueue([=] { return function(context), cudaSuccess; });
    return call.refused();
}
}
