#include <nccl.h>

#include <atomic>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <vector>

#include "tests/emulation/runtime.h"

/* A mailbox of one chunk for each ordered pair of ranks, in memory that all processes map. */
using namespace emulation;

namespace
{
enum { CHUNK = 1 << 16, MOST_RANKS = 8, PATIENCE_SECONDS = 60 };

struct mailbox {
    std::atomic<uint64_t> n_written, n_read;
    char chunk[CHUNK];
};

struct meeting {
    std::atomic<int> n_joined;
    mailbox boxes[MOST_RANKS][MOST_RANKS]; /* [from][to] */
};

/* One send or receive of a group, and how far it is. */
struct transfer {
    bool sends;
    char *memory;
    size_t n_bytes, done;
    mailbox *box;

    /* Moves a chunk if the other side is ready; true: it is complete. */
    bool advance()
    {
        size_t now = n_bytes - done < CHUNK ? n_bytes - done : (size_t)CHUNK;
        bool full =
            box->n_written.load(std::memory_order_acquire) > box->n_read.load(std::memory_order_acquire);
        if (done < n_bytes && full != sends) {
            memcpy(sends ? box->chunk : memory + done, sends ? memory + done : box->chunk, now);
            (sends ? box->n_written : box->n_read).fetch_add(1, std::memory_order_release);
            done += now;
        }
        return done == n_bytes;
    }
};

bool all_advance(std::vector<transfer> &transfers)
{
    bool complete = true;
    for (transfer &one : transfers)
        complete &= one.advance();
    return complete;
}
} // namespace

struct emulated_communicator {
    meeting *shared;
    int rank, n_ranks;
    std::shared_ptr<void> in_graphs =
        std::make_shared<int>(); /* every graph with a call of it has one more */
};

namespace
{
/* Until everything has moved; a rank that never comes is a broken kernel, as NCCL's would be for ever. */
cudaError_t carry_out(std::vector<transfer> transfers)
{
    time_t end = time(nullptr) + PATIENCE_SECONDS;
    while (!all_advance(transfers)) {
        if (time(nullptr) > end)
            return cudaErrorLaunchFailure;
        sched_yield();
    }
    return cudaSuccess;
}

thread_local int group_depth;
thread_local std::vector<transfer> group;
thread_local cudaStream_t group_stream;
thread_local ncclComm_t group_communicator;

ncclResult_t enqueue(ncclComm_t communicator, cudaStream_t stream, work work)
{
    CUstream_st &queue = *stream_of(stream);
    if (queue.capture != nullptr)
        queue.capture->retained.push_back(communicator->in_graphs);
    queue.enqueue(std::move(work));
    return queue.capture != nullptr || queue.run_all() == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

ncclResult_t end_of_call()
{
    if (group_depth > 0 || group.empty())
        return ncclSuccess;
    std::vector<transfer> transfers = std::move(group);
    group.clear();
    return enqueue(group_communicator, group_stream, [transfers] { return carry_out(transfers); });
}
} // namespace

static size_t bytes_of(ncclDataType_t type)
{
    return type == ncclFloat ? sizeof(float) : 1;
}

static ncclResult_t transfer_of(bool sends, void *memory, size_t n_bytes, int peer, ncclComm_t communicator,
                                cudaStream_t stream)
{
    if (peer < 0 || peer >= communicator->n_ranks || (n_bytes > 0 && !is_device(memory, n_bytes)))
        return ncclInvalidArgument;
    int from = sends ? communicator->rank : peer, to = sends ? peer : communicator->rank;
    group.push_back({sends, (char *)memory, n_bytes, 0, &communicator->shared->boxes[from][to]});
    group_stream = stream, group_communicator = communicator;
    return end_of_call();
}

extern "C" {
ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    static int n_made;
    call call("ncclGetUniqueId");
    snprintf(id->internal, sizeof id->internal, "/millrace-nccl-%d-%d", (int)getpid(), n_made++);
    return call.refused() == cudaSuccess ? ncclSuccess : ncclSystemError;
}

ncclResult_t ncclGetVersion(int *version)
{
    const char *wanted = getenv("MILLRACE_EMULATED_NCCL");
    *version = wanted != nullptr ? atoi(wanted) : 22809;
    return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t *communicator, int n_ranks, ncclUniqueId id, int rank)
{
    call call("ncclCommInitRank");
    if (call.refused() != cudaSuccess)
        return ncclUnhandledCudaError;
    const char *in_switch = getenv("NCCL_NVLS_ENABLE");
    if (n_ranks > MOST_RANKS || in_switch == nullptr || strcmp(in_switch, "0") != 0)
        return ncclInvalidArgument; /* sums in the switch would have another rounding */
    int file = shm_open(id.internal, O_CREAT | O_RDWR, 0600);
    if (file < 0 || ftruncate(file, sizeof(meeting)) != 0)
        return ncclSystemError;
    void *memory = mmap(nullptr, sizeof(meeting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED)
        return ncclSystemError;
    *communicator = new emulated_communicator{(meeting *)memory, rank, n_ranks};
    (*communicator)->shared->n_joined++;
    time_t end = time(nullptr) + PATIENCE_SECONDS;
    while ((*communicator)->shared->n_joined < n_ranks && time(nullptr) < end)
        sched_yield();
    shm_unlink(id.internal); /* the last to come finds it gone, which is as well */
    return (*communicator)->shared->n_joined >= n_ranks ? ncclSuccess : ncclRemoteError;
}

/* Also ncclCommAbort: the real ones wait for ever while a graph has a call of the communicator (NCCL 2.28,
 * src/init.cc). */
ncclResult_t ncclCommDestroy(ncclComm_t communicator)
{
    if (communicator->in_graphs.use_count() > 1) {
        fprintf(stderr, "emulation: a communicator is destroyed of which %ld graphs have calls\n",
                communicator->in_graphs.use_count() - 1);
        abort();
    }
    munmap(communicator->shared, sizeof(meeting));
    delete communicator;
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t communicator)
{
    return ncclCommDestroy(communicator);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t *result)
{
    call call("ncclCommGetAsyncError");
    *result = call.refused() == cudaSuccess ? ncclSuccess : ncclRemoteError;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    return result == ncclSuccess ? "no error" : "an emulated error";
}

const char *ncclGetLastError(ncclComm_t)
{
    return "emulated NCCL";
}

ncclResult_t ncclGroupStart(void)
{
    group_depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void)
{
    call call("ncclGroupEnd");
    group_depth--;
    return call.refused() == cudaSuccess ? end_of_call() : ncclUnhandledCudaError;
}

ncclResult_t ncclSend(const void *from, size_t n, ncclDataType_t type, int peer, ncclComm_t communicator,
                      cudaStream_t stream)
{
    call call("ncclSend");
    return transfer_of(true, const_cast<void *>(from), n * bytes_of(type), peer, communicator, stream);
}

ncclResult_t ncclRecv(void *to, size_t n, ncclDataType_t type, int peer, ncclComm_t communicator,
                      cudaStream_t stream)
{
    call call("ncclRecv");
    return transfer_of(false, to, n * bytes_of(type), peer, communicator, stream);
}

/* Of two ranks, in place: all that is needed here. */
ncclResult_t ncclAllReduce(const void *from, void *to, size_t n, ncclDataType_t type, ncclRedOp_t operation,
                           ncclComm_t communicator, cudaStream_t stream)
{
    call call("ncclAllReduce");
    if (call.refused() != cudaSuccess)
        return ncclUnhandledCudaError;
    size_t n_bytes = n * bytes_of(type);
    if (type != ncclFloat || operation != ncclSum || from != to || communicator->n_ranks != 2 ||
        !is_device(to, n_bytes))
        return ncclInvalidArgument;
    int me = communicator->rank, other = 1 - me;
    meeting *shared = communicator->shared;
    return enqueue(communicator, stream, [=] {
        std::vector<float> theirs(n);
        cudaError_t error =
            carry_out({{true, (char *)to, n_bytes, 0, &shared->boxes[me][other]},
                       {false, (char *)theirs.data(), n_bytes, 0, &shared->boxes[other][me]}});
        for (size_t i = 0; i < n; i++)
            ((float *)to)[i] += theirs[i];
        return error;
    });
}
}
