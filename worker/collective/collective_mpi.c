#include "worker/collective/collective.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "worker/collective/exchange_buffers.h"

/*
 * The all-reduce is a reduce-scatter and an all-gather: each rank receives its own slice from every rank,
 * adds the copies, and sends the sum to all. MPI moves the bytes. The additions are ours: MPI_Allreduce may
 * choose its order by size and number of ranks, and we need the same tree every time (shard.h).
 *
 * MPI waits by spinning. That is right inside a step, where the other ranks are at most microseconds behind.
 * It is wrong between requests. A rank waits for work in broadcast, so broadcast sleeps between looks once it
 * has waited for a while.
 *
 * A CPU's device memory is host memory, and nothing is copied here. The memory of a GPU is brought into
 * pinned memory, exchanged and summed there, and sent back. That is right but slow, because the device waits;
 * NCCL exists for it. Each of these operations begins by waiting for the device, so the buffers are free when
 * they are written.
 */
struct collective_mpi {
    struct collective base;
    const struct backend *backend;
    struct device *device;
    struct exchange_buffers buffers;
    int *counts, *starts, *slice_counts, *slice_starts; /* [n_ranks] each */
};

enum { PIECE = 1 << 22 }; /* floats that are summed at a time, at most */
enum { SPIN_US = 2000, NAP_LEAST_US = 50, NAP_MOST_US = 1000 };

static void keep_first_error(struct collective_mpi *mpi, int code)
{
    if (code != MPI_SUCCESS && mpi->base.status == STATUS_OK)
        mpi->base.status = STATUS_INTERNAL;
}

/* Sums parts[n_ranks][n] into parts[0] as a balanced tree: neighbours first, then neighbours of those. */
static void add_tree(struct collective_mpi *mpi, int64_t n)
{
    int n_ranks = mpi->base.n_ranks;
    for (int distance = 1; distance < n_ranks; distance *= 2) {
        for (int at = 0; at + distance < n_ranks; at += 2 * distance) {
            float *sum = mpi->buffers.scratch + at * n;
            const float *other = mpi->buffers.scratch + (at + distance) * n;
            if (mpi->backend->on_host)
                mpi->backend->add(mpi->device, sum, other, n, sum);
            else
                for (int64_t i = 0; i < n; i++)
                    sum[i] += other[i];
        }
    }
}

/*
 * Waits until the values to exchange are there; values on a device of its own are copied from `from` to `to`.
 * false: this rank's device has failed. What it holds is no result, so the rank takes part in nothing more.
 * The others wait until it has ended; otherwise they would add up wrong values and report them.
 */
static bool prepare(struct collective_mpi *mpi, void *to, const void *from, size_t size_bytes)
{
    struct error error; /* kept by the device, which says it again when the step is waited for */
    if (mpi->base.status != STATUS_OK || !mpi->backend)
        return mpi->base.status == STATUS_OK; /* unbound: there is no device */
    if (to)
        mpi->backend->download(mpi->device, to, from, size_bytes);
    mpi->base.status = mpi->backend->synchronize(mpi->device, &error);
    return mpi->base.status == STATUS_OK;
}

/* x[n] in host memory, n at most PIECE: MPI counts in int. */
static void sum_piece(struct collective_mpi *mpi, float *x, int64_t n)
{
    struct collective *collective = &mpi->base;
    int n_ranks = collective->n_ranks;
    for (int rank = 0; rank < n_ranks; rank++) {
        mpi->starts[rank] = (int)(n * rank / n_ranks);
        mpi->counts[rank] = (int)(n * (rank + 1) / n_ranks) - mpi->starts[rank];
    }
    int mine = mpi->counts[collective->rank];
    for (int rank = 0; rank < n_ranks; rank++) {
        mpi->slice_counts[rank] = mine;
        mpi->slice_starts[rank] = rank * mine;
    }
    keep_first_error(mpi, MPI_Alltoallv(x, mpi->counts, mpi->starts, MPI_FLOAT, mpi->buffers.scratch,
                                        mpi->slice_counts, mpi->slice_starts, MPI_FLOAT, MPI_COMM_WORLD));
    add_tree(mpi, mine);
    keep_first_error(mpi, MPI_Allgatherv(mpi->buffers.scratch, mine, MPI_FLOAT, x, mpi->counts, mpi->starts,
                                         MPI_FLOAT, MPI_COMM_WORLD));
}

/* x[n] in host memory. An element's sum does not depend on the piece that it is in. */
static void sum_over_ranks(struct collective_mpi *mpi, float *x, int64_t n)
{
    for (int64_t at = 0; at < n || at == 0; at += PIECE)
        sum_piece(mpi, x + at, n - at < PIECE ? n - at : PIECE);
}

static void mpi_all_reduce(struct collective *collective, float *x, int64_t n)
{
    struct collective_mpi *mpi = (struct collective_mpi *)collective;
    double start = clock_seconds();
    size_t size_bytes = (size_t)n * sizeof *x;
    if (!prepare(mpi, mpi->buffers.staged, x, size_bytes))
        return;
    sum_over_ranks(mpi, mpi->buffers.staged ? mpi->buffers.staged : x, n);
    if (mpi->buffers.staged)
        mpi->backend->upload(mpi->device, x, mpi->buffers.staged, size_bytes);
    collective->seconds += clock_seconds() - start;
}

static void mpi_gather(struct collective *collective, const void *part, const int *sizes_bytes, void *to)
{
    struct collective_mpi *mpi = (struct collective_mpi *)collective;
    double start = clock_seconds();
    int at = 0, mine = sizes_bytes[collective->rank];
    if (!prepare(mpi, mpi->buffers.staged_part, part, (size_t)mine))
        return;
    for (int rank = 0; rank < collective->n_ranks; rank++) {
        mpi->starts[rank] = at;
        at += sizes_bytes[rank];
    }
    keep_first_error(mpi, MPI_Allgatherv(mpi->buffers.staged ? mpi->buffers.staged_part : part, mine,
                                         MPI_BYTE, mpi->buffers.staged ? mpi->buffers.staged : to,
                                         sizes_bytes, mpi->starts, MPI_BYTE, MPI_COMM_WORLD));
    if (mpi->buffers.staged)
        mpi->backend->upload(mpi->device, to, mpi->buffers.staged, (size_t)at);
    collective->seconds += clock_seconds() - start;
}

/* Looks until the request is done, first without pause, then with naps that grow. Calls `waits` of
 * `collective` before the first nap; NULL: calls nothing. */
static int wait_patiently(MPI_Request *request, const struct collective *collective)
{
    double start = clock_seconds();
    long nap_us = NAP_LEAST_US;
    double spin = collective && collective->spin_seconds > 0 ? collective->spin_seconds : SPIN_US * 1e-6;
    bool is_told = !collective || !collective->waits;
    for (;;) {
        int done = 0;
        int code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (done || code != MPI_SUCCESS)
            return code;
        if (clock_seconds() - start < spin)
            continue;
        if (!is_told && !collective->waits(collective->waits_context))
            return MPI_ERR_OTHER; /* the request is left: this rank ends */
        is_told = true;
        struct timespec nap = {.tv_nsec = nap_us * 1000};
        nanosleep(&nap, NULL);
        nap_us = nap_us * 2 < NAP_MOST_US ? nap_us * 2 : NAP_MOST_US;
    }
}

static void mpi_broadcast(struct collective *collective, void *host, size_t size_bytes)
{
    struct collective_mpi *mpi = (struct collective_mpi *)collective;
    MPI_Request request;
    int code = MPI_Ibcast(host, (int)size_bytes, MPI_BYTE, 0, MPI_COMM_WORLD, &request);
    keep_first_error(mpi, code == MPI_SUCCESS ? wait_patiently(&request, collective) : code);
}

static void mpi_exchange(struct collective *collective, const void *part, size_t size_bytes, void *to)
{
    struct collective_mpi *mpi = (struct collective_mpi *)collective;
    MPI_Request request;
    int code = MPI_Iallgather(part, (int)size_bytes, MPI_BYTE, to, (int)size_bytes, MPI_BYTE, MPI_COMM_WORLD,
                              &request);
    keep_first_error(mpi, code == MPI_SUCCESS ? wait_patiently(&request, NULL) : code);
}

static void mpi_unbind(struct collective *collective)
{
    struct collective_mpi *mpi = (struct collective_mpi *)collective;
    exchange_buffers_release(&mpi->buffers);
    mpi->backend = NULL;
    mpi->device = NULL;
}

static bool mpi_bind(struct collective *collective, const struct backend *backend, struct device *device,
                     int64_t max_elements)
{
    struct collective_mpi *mpi = (struct collective_mpi *)collective;
    mpi->backend = backend;
    mpi->device = device;
    return exchange_buffers_for_mpi(&mpi->buffers, backend, device, collective->n_ranks, max_elements);
}

static void mpi_free(struct collective *collective)
{
    struct collective_mpi *mpi = (struct collective_mpi *)collective;
    free(mpi->counts);
    free(mpi);
}

static const struct collective_table mpi_table = {
    .name = "mpi",
    .bind = mpi_bind,
    .unbind = mpi_unbind,
    .all_reduce = mpi_all_reduce,
    .gather = mpi_gather,
    .broadcast = mpi_broadcast,
    .exchange = mpi_exchange,
    .free = mpi_free,
};

/* Finds this rank's number among the ranks that share this machine's memory. */
static void find_neighbours(struct collective *collective)
{
    MPI_Comm here;
    collective->n_local = 1;
    if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here) != MPI_SUCCESS)
        return;
    MPI_Comm_rank(here, &collective->local_rank);
    MPI_Comm_size(here, &collective->n_local);
    MPI_Comm_free(&here);
}

struct collective *collective_mpi_create(void)
{
    int n;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_size(MPI_COMM_WORLD, &n);
    if (n == 1)
        return collective_self_create();
    struct collective_mpi *mpi = calloc(1, sizeof *mpi);
    if (!mpi)
        return NULL;
    mpi->base.table = &mpi_table;
    mpi->base.n_ranks = n;
    find_neighbours(&mpi->base);
    MPI_Comm_rank(MPI_COMM_WORLD, &mpi->base.rank);
    size_t n_ranks = (size_t)n;
    mpi->counts = calloc(4 * n_ranks, sizeof *mpi->counts);
    if (!mpi->counts) {
        mpi_free(&mpi->base);
        return NULL;
    }
    mpi->starts = mpi->counts + n_ranks;
    mpi->slice_counts = mpi->starts + n_ranks;
    mpi->slice_starts = mpi->slice_counts + n_ranks;
    return &mpi->base;
}
