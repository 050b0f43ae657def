#include "kernels/cuda_module.h"

#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kernels/cuda/device.h"
#include "worker/collective/collective.h"
#include "worker/collective/exchange_buffers.h"

/*
 * The exchange between GPUs: NCCL on the device's stream. `base` exchanges host memory, and NCCL's id at the
 * start.
 *
 * The sums are the same as over MPI, bit for bit, so that a text does not depend on the transport.
 * ncclAllReduce chooses its order of adding by size and topology, and then a row would depend on how many
 * rows there are. With two ranks there is only one order, so ncclAllReduce is used; but NCCL may let the
 * switch between the GPUs add (NVLS), whose rounding nobody documents, so that is turned off unless the user
 * has set NCCL_NVLS_ENABLE. With more, the ranks exchange slices (as much data as a ring moves), add them as
 * the balanced tree, and exchange the sums.
 *
 * NCCL refuses two ranks on one GPU; the sentence about it is written here, and names the ranks. In tests a
 * different NCCL_HOSTID for each rank lets them pass; they then use sockets.
 *
 * When a rank is lost, the others would wait in their streams for ever. So a rank that waits asks NCCL
 * meanwhile, and aborts.
 */
struct collective_nccl {
    struct collective base;
    struct collective *host; /* borrowed */
    const struct backend *backend;
    struct device *device;
    ncclComm_t communicator;
    struct exchange_buffers buffers;
    char failure[256];
};

static bool good(struct collective_nccl *nccl, ncclResult_t result, const char *what)
{
    if (result == ncclSuccess || result == ncclInProgress)
        return true;
    if (nccl->base.status == STATUS_OK) {
        nccl->base.status = STATUS_UNAVAILABLE;
        snprintf(nccl->failure, sizeof nccl->failure, "NCCL, %s: %s (%.120s)", what,
                 ncclGetErrorString(result), ncclGetLastError(nccl->communicator));
    }
    return false;
}

/* Where rank's slice of n elements begins; the last one's end for n_ranks. */
static int64_t slice_start(const struct collective_nccl *nccl, int64_t n, int rank)
{
    int64_t units = (n + EXCHANGE_SLICE_ALIGNMENT - 1) / EXCHANGE_SLICE_ALIGNMENT;
    int64_t start = units * rank / nccl->base.n_ranks * EXCHANGE_SLICE_ALIGNMENT;
    return start < n ? start : n;
}

static int64_t slice_size(const struct collective_nccl *nccl, int64_t n, int rank)
{
    return slice_start(nccl, n, rank + 1) - slice_start(nccl, n, rank);
}

/* Everybody's copy of this rank's slice into scratch, one after another, `stride` apart. */
static void collect_slices(struct collective_nccl *nccl, const float *x, int64_t n, int64_t stride)
{
    int me = nccl->base.rank;
    good(nccl, ncclGroupStart(), "a group");
    for (int rank = 0; rank < nccl->base.n_ranks; rank++) {
        good(nccl,
             ncclSend(x + slice_start(nccl, n, rank), (size_t)slice_size(nccl, n, rank), ncclFloat, rank,
                      nccl->communicator, nccl->device->stream),
             "sending a slice");
        good(nccl,
             ncclRecv(nccl->buffers.scratch + rank * stride, (size_t)slice_size(nccl, n, me), ncclFloat, rank,
                      nccl->communicator, nccl->device->stream),
             "receiving a slice");
    }
    good(nccl, ncclGroupEnd(), "exchanging slices");
}

/* scratch[0] = the balanced tree ((0+1)+(2+3))+... */
static void add_slices(struct collective_nccl *nccl, int64_t n, int64_t stride)
{
    for (int distance = 1; distance < nccl->base.n_ranks; distance *= 2)
        for (int at = 0; at + distance < nccl->base.n_ranks; at += 2 * distance)
            nccl->backend->add(nccl->device, nccl->buffers.scratch + at * stride,
                               nccl->buffers.scratch + (at + distance) * stride, n,
                               nccl->buffers.scratch + at * stride);
}

static void spread_sums(struct collective_nccl *nccl, float *x, int64_t n)
{
    int me = nccl->base.rank;
    good(nccl, ncclGroupStart(), "a group");
    for (int rank = 0; rank < nccl->base.n_ranks; rank++) {
        good(nccl,
             ncclSend(nccl->buffers.scratch, (size_t)slice_size(nccl, n, me), ncclFloat, rank,
                      nccl->communicator, nccl->device->stream),
             "sending a sum");
        good(nccl,
             ncclRecv(x + slice_start(nccl, n, rank), (size_t)slice_size(nccl, n, rank), ncclFloat, rank,
                      nccl->communicator, nccl->device->stream),
             "receiving a sum");
    }
    good(nccl, ncclGroupEnd(), "exchanging sums");
}

static void nccl_all_reduce(struct collective *collective, float *x, int64_t n)
{
    struct collective_nccl *nccl = (struct collective_nccl *)collective;
    if (collective->status != STATUS_OK || n == 0)
        return;
    if (collective->n_ranks == 2) {
        good(nccl,
             ncclAllReduce(x, x, (size_t)n, ncclFloat, ncclSum, nccl->communicator, nccl->device->stream),
             "summing");
        return;
    }
    int64_t mine = slice_size(nccl, n, collective->rank);
    int64_t stride =
        (mine + EXCHANGE_SLICE_ALIGNMENT - 1) / EXCHANGE_SLICE_ALIGNMENT * EXCHANGE_SLICE_ALIGNMENT;
    collect_slices(nccl, x, n, stride);
    add_slices(nccl, mine, stride);
    spread_sums(nccl, x, n);
}

static void nccl_gather(struct collective *collective, const void *part, const int *sizes_bytes, void *to)
{
    struct collective_nccl *nccl = (struct collective_nccl *)collective;
    size_t at = 0, mine = (size_t)sizes_bytes[collective->rank];
    if (collective->status != STATUS_OK)
        return;
    good(nccl, ncclGroupStart(), "a group");
    for (int rank = 0; rank < collective->n_ranks; at += (size_t)sizes_bytes[rank++]) {
        if (mine > 0)
            good(nccl, ncclSend(part, mine, ncclInt8, rank, nccl->communicator, nccl->device->stream),
                 "sending a part");
        if (sizes_bytes[rank] > 0)
            good(nccl,
                 ncclRecv((char *)to + at, (size_t)sizes_bytes[rank], ncclInt8, rank, nccl->communicator,
                          nccl->device->stream),
                 "receiving a part");
    }
    good(nccl, ncclGroupEnd(), "gathering");
}

/* A plan follows the last within a step's time, which may be shorter than a nap: the device would wait. */
#define SPIN_SECONDS 10e-3

static void nccl_broadcast(struct collective *collective, void *host, size_t size_bytes)
{
    struct collective_nccl *nccl = (struct collective_nccl *)collective;
    nccl->host->waits = collective->waits;
    nccl->host->waits_context = collective->waits_context;
    nccl->host->spin_seconds = SPIN_SECONDS;
    nccl->host->table->broadcast(nccl->host, host, size_bytes);
    if (nccl->host->status != STATUS_OK)
        collective->status = nccl->host->status;
}

static void nccl_exchange(struct collective *collective, const void *part, size_t size_bytes, void *to)
{
    struct collective_nccl *nccl = (struct collective_nccl *)collective;
    nccl->host->table->exchange(nccl->host, part, size_bytes, to);
    if (nccl->host->status != STATUS_OK)
        collective->status = nccl->host->status;
}

/*
 * Forgets the communicator, after what is enqueued. After an error that is ended, too: the device's
 * operations that wait for a rank that is gone.
 *
 * Graphs go first: ncclCommDestroy and ncclCommAbort alike wait until none is left that has the
 * communicator's calls recorded (NCCL 2.28, src/init.cc, commDestroySync: "keep polling until all graphs
 * referencing us die"), for ever if it comes to that. A graph that is still being played is freed when it is
 * over.
 */
static void leave(struct collective_nccl *nccl)
{
    if (!nccl->communicator)
        return;
    segments_release(&nccl->device->segments);
    if (nccl->base.status == STATUS_OK) {
        (void)cudaStreamSynchronize(nccl->device->stream);
        (void)ncclCommDestroy(nccl->communicator);
    } else {
        (void)ncclCommAbort(nccl->communicator);
    }
    nccl->communicator = NULL;
}

/* Looks at the mark and at NCCL in turns: at first without a pause, since a step is short. */
static enum status nccl_wait(struct collective *collective, int slot, struct error *error)
{
    enum { LOOKS_WITHOUT_PAUSE = 10000, PAUSE_NS = 20000 };
    struct collective_nccl *nccl = (struct collective_nccl *)collective;
    for (long looks = 0; collective->status == STATUS_OK; looks++) {
        ncclResult_t asynchronous = ncclSuccess;
        if (cudaEventQuery(nccl->device->marks[slot]) != cudaErrorNotReady)
            return nccl->backend->wait(nccl->device, slot, error); /* done or failed: it says which */
        (void)cudaGetLastError(); /* "not ready" must not be reported by the next call */
        if (looks % 64 == 0)
            good(nccl, ncclCommGetAsyncError(nccl->communicator, &asynchronous), "asking for errors");
        good(nccl, asynchronous, "between the ranks");
        if (looks > LOOKS_WITHOUT_PAUSE)
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    leave(nccl);
    return error_set(error, collective->status, "%s",
                     *nccl->failure ? nccl->failure : "the exchange between the ranks of this replica broke");
}

static bool nccl_bind(struct collective *collective, const struct backend *backend, struct device *device,
                      int64_t max_elements)
{
    struct collective_nccl *nccl = (struct collective_nccl *)collective;
    nccl->backend = backend;
    nccl->device = device;
    return exchange_buffers_for_nccl(&nccl->buffers, backend, device, collective->n_ranks, max_elements);
}

static void nccl_unbind(struct collective *collective)
{
    struct collective_nccl *nccl = (struct collective_nccl *)collective;
    leave(nccl); /* before any memory that it may know of is freed */
    exchange_buffers_release(&nccl->buffers);
}

static void nccl_free(struct collective *collective)
{
    leave((struct collective_nccl *)collective);
    free(collective);
}

static const struct collective_table nccl_table = {
    .name = "nccl",
    .on_device = true,
    .bind = nccl_bind,
    .unbind = nccl_unbind,
    .all_reduce = nccl_all_reduce,
    .gather = nccl_gather,
    .broadcast = nccl_broadcast,
    .exchange = nccl_exchange,
    .wait = nccl_wait,
    .free = nccl_free,
};

/* Which GPU a rank has. */
struct place {
    char host[64], bus[32];
    unsigned char slice[16]; /* two slices of a GPU (MIG) have one address and their own numbers */
};

static struct place place_of(const struct device *device)
{
    struct place place;
    memset(&place, 0, sizeof place);
    const char *named = getenv("NCCL_HOSTID");
    if (named)
        snprintf(place.host, sizeof place.host, "%s", named);
    else
        gethostname(place.host, sizeof place.host - 1);
    struct cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, device->index) == cudaSuccess)
        memcpy(place.slice, &properties.uuid, sizeof place.slice);
    if (cudaDeviceGetPCIBusId(place.bus, sizeof place.bus, device->index) != cudaSuccess)
        snprintf(place.bus, sizeof place.bus, "GPU %d", device->index);
    return place;
}

static bool have_one_gpu(const struct place *a, const struct place *b)
{
    return strcmp(a->host, b->host) == 0 && strcmp(a->bus, b->bus) == 0;
}

static enum status refuse_pair(int a, int b, const struct place *of_a, const struct place *of_b,
                               struct error *error)
{
    bool slices = memcmp(of_a->slice, of_b->slice, sizeof of_a->slice) != 0;
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "ranks %d and %d have %s, %s of %s: NCCL needs %s for each rank; use %s, or "
                     "--collective mpi",
                     a, b, slices ? "two slices (MIG) of one GPU" : "the same GPU", of_a->bus, of_a->host,
                     slices ? "a whole GPU" : "one",
                     slices ? "a replica of one rank on each slice" : "fewer ranks");
}

/* NCCL would say "Duplicate GPU detected" at the end of a long text. Every rank finds the same pair;
 * places[n_ranks]. */
static enum status check_places(struct collective *base, const struct device *device, struct place *places,
                                struct error *error)
{
    struct place mine = place_of(device);
    base->table->exchange(base, &mine, sizeof mine, places);
    for (int rank = 1; rank < base->n_ranks; rank++)
        for (int other = 0; other < rank; other++)
            if (have_one_gpu(&places[rank], &places[other]))
                return refuse_pair(other, rank, &places[other], &places[rank], error);
    return STATUS_OK;
}

/* Rank 0 makes the id, or says that it cannot. */
static enum status share_id(struct collective *base, ncclUniqueId *id, struct error *error)
{
    struct {
        ncclResult_t result;
        ncclUniqueId id;
    } message;
    memset(&message, 0, sizeof message);
    if (base->rank == 0)
        message.result = ncclGetUniqueId(&message.id);
    base->table->broadcast(base, &message, sizeof message);
    *id = message.id;
    if (message.result != ncclSuccess)
        return error_set(error, STATUS_UNAVAILABLE, "NCCL, making an id: %s",
                         ncclGetErrorString(message.result));
    return STATUS_OK;
}

/* Tells which NCCL runs. Graphs with its calls, and aborting a communicator that graphs have, need 2.18. */
static enum status check_version(struct device *device, struct error *error)
{
    enum { OLDEST = 21800 };
    char text[96];
    int version = 0;
    ncclResult_t result = ncclGetVersion(&version);
    int major = version / 10000, minor = version / 100 % 100, patch = version % 100;
    if (result != ncclSuccess || version < OLDEST)
        return error_set(error, STATUS_UNAVAILABLE,
                         "NCCL %d.%d.%d is older than 2.18: install a newer one, or use --collective mpi",
                         major, minor, patch);
    snprintf(text, sizeof text, "NCCL %d.%d.%d between the ranks", major, minor, patch);
    device_tell(device, text);
    return STATUS_OK;
}

/* What can fail on one rank alone, before the others wait for it in ncclCommInitRank: memory, and a GPU that
 * is lost. The ranks agree on it; on an error nothing is left. */
static enum status prepare(struct collective *base, struct device *device, struct collective_nccl **made,
                           struct place **places, struct error *error)
{
    enum status status = STATUS_OK;
    cudaError_t result = cudaStreamSynchronize(device->stream);
    *made = calloc(1, sizeof **made);
    *places = calloc((size_t)base->n_ranks, sizeof **places);
    if (!*made || !*places)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a communicator");
    else if (result != cudaSuccess)
        status = error_set(error, STATUS_UNAVAILABLE, "GPU %d, before NCCL starts: %s", device->index,
                           cudaGetErrorString(result));
    else
        status = check_version(device, error);
    status = collective_agree(base, status, error);
    if (status != STATUS_OK) {
        free(*made);
        free(*places);
    }
    return status;
}

static enum status start(struct collective_nccl *nccl, struct place *places, struct error *error)
{
    ncclUniqueId id;
    enum status status = check_places(nccl->host, nccl->device, places, error);
    if (status == STATUS_OK)
        status = share_id(nccl->host, &id, error);
    (void)setenv("NCCL_NVLS_ENABLE", "0", 0);
    if (status != STATUS_OK ||
        good(nccl, ncclCommInitRank(&nccl->communicator, nccl->base.n_ranks, id, nccl->base.rank),
             "starting"))
        return status;
    leave(nccl);
    return error_set(error, nccl->base.status, "%s", nccl->failure);
}

enum status collective_nccl_create(struct collective *base, struct device *device,
                                   struct collective **collective, struct error *error)
{
    struct collective_nccl *made;
    struct place *places;
    enum status status = prepare(base, device, &made, &places, error);
    if (status != STATUS_OK)
        return status;
    made->base = (struct collective){.table = &nccl_table,
                                     .rank = base->rank,
                                     .n_ranks = base->n_ranks,
                                     .local_rank = base->local_rank,
                                     .n_local = base->n_local};
    made->host = base;
    made->device = device;
    status = start(made, places, error);
    free(places);
    if (status != STATUS_OK) {
        free(made);
        return status;
    }
    *collective = &made->base;
    return STATUS_OK;
}
