#ifndef MILLRACE_TESTS_EMULATION_RUNTIME_H
#define MILLRACE_TESTS_EMULATION_RUNTIME_H

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/emulation/launch.h"

/*
 * Streams that are lazy: what is enqueued lies in a queue until the program waits for it (or asks, with a
 * query), then runs in order in the thread that waits. One lock over everything: the emulated machine has one
 * GPU.
 */
namespace emulation
{
/* Does a piece of work; an error stays (it is a kernel that broke). */
using work = std::function<cudaError_t()>;

/* Every call of the runtime goes through one: takes the lock, and refuses when the test or an earlier error
 * says so. */
class call
{
  public:
    explicit call(const char *name);
    /* Not cudaSuccess: the call returns this at once. */
    cudaError_t refused() const
    {
        return error;
    }
    /* Remembers the error for cudaGetLastError and gives it back. */
    cudaError_t finish(cudaError_t result);

  private:
    std::unique_lock<std::recursive_mutex> lock;
    cudaError_t error;
};

extern cudaError_t lasting_error; /* of a kernel that broke: every call returns it */

/* Where a block of pinned host memory, or of the device, begins and ends. */
bool is_pinned(const void *memory);
bool is_device(const void *memory, size_t size_bytes);
} // namespace emulation

struct CUgraph_st {
    std::vector<emulation::work> works;
    std::vector<std::shared_ptr<void>> retained; /* as cudaGraphRetainUserObject: as long as a graph lives */
};

struct CUgraphExec_st {
    std::vector<emulation::work> works;
    std::vector<std::shared_ptr<void>> retained;
};

struct CUstream_st {
    std::deque<emulation::work> queue;
    uint64_t n_enqueued, n_done;
    CUgraph_st *capture; /* what is recorded; NULL: nothing */
    bool capture_broken;

    /* Into the queue, or into the graph that is recorded. */
    void enqueue(emulation::work work);
    /* Runs what was enqueued before the number `until`. */
    cudaError_t run(uint64_t until);
    cudaError_t run_all();
};

struct CUevent_st {
    CUstream_st *stream; /* NULL: never recorded */
    uint64_t position;   /* done when the stream has done so much */
    double milliseconds; /* when it was passed */
};

namespace emulation
{
CUstream_st *stream_of(cudaStream_t stream); /* NULL is the default stream */
} // namespace emulation

#endif
