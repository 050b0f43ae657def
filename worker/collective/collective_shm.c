#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/collective/collective.h"
#include "worker/collective/shared_block.h"
#include "worker/collective/shared_word.h"

/*
 * Between ranks of one machine whose devices compute in the host's memory. The ranks write what the others
 * need into memory that all share, meet, and read. MPI started them, and helped them to find that memory; it
 * is used no more.
 *
 * Meeting. The last rank that arrives raises `round`, for which the others wait (shared_word.h). So a rank
 * that waits spins for a moment and then sleeps, where a rank of MPI spins on. That matters where ranks share
 * cores, with each other or with other programs, and costs nothing else where they do not.
 *
 * Sums. A small one is one meeting: every rank writes all of its x, and every rank adds all of them up. A
 * large one is two: every rank writes what is not its own slice; after the first meeting it adds up its own
 * slice, and writes the sum where the others read it after the second. Each element is added in the order of
 * the tree in both, so all ranks get the same bits, and the bits that MPI's ranks get (collective_mpi.c).
 *
 * What may be written when. Small parts have two places, used in turn. A rank writes to one of them when all
 * have met since it was read: they met in the exchange between, in the other place. In a large sum, the parts
 * of a rank lie in its own row, a slice's at the same place whatever the sum's size. Its own slice's place
 * holds the sum. The parts were read before the second meeting, and the sum before the first one of the next
 * large sum, after which it is written again.
 *
 * A broadcast is no meeting: rank 0 goes on when it has written. It waits first until the others have copied
 * the broadcast before.
 */
enum {
    SMALL_BYTES = 1 << 16, /* of a rank's part that is exchanged in one meeting */
    SMALL_FLOATS = SMALL_BYTES / (int)sizeof(float),
    PLAN_BYTES = 1 << 18, /* that are broadcast at a time */
    PIECE = 1 << 22,      /* floats that are summed at a time, at most */
    LINE_FLOATS = 16,     /* slices begin on lines of the cache */
    CHUNK = 512,          /* floats that are added up at a time, in the fastest cache */
    LEVELS = 9,           /* of the tree: up to 256 ranks */
};

/* What the ranks share. After it: small [2][n_ranks][SMALL_BYTES], plan [PLAN_BYTES], rows
 * [n_ranks][n_ranks][slice_floats]. */
struct shared {
    struct shared_word round; /* how often all have met */
    _Alignas(64) atomic_uint n_arrived;
    struct shared_word broadcasts; /* that rank 0 has written */
    struct shared_word copies;     /* how often all others have copied one */
    _Alignas(64) atomic_uint n_copied;
};

struct collective_shm {
    struct collective base;
    struct shared_block block;
    struct shared *shared;
    char *small, *plan;
    float *rows;
    int64_t slice_floats; /* of the largest piece's slice */
    unsigned turn;        /* which of the two places is next */
    unsigned n_copied;    /* broadcasts that this rank has copied; ranks above 0 */
    const struct backend *backend;
    struct device *device;
    int *sizes;           /* [n_ranks] of equal parts */
    const float **slices; /* [n_ranks] that are added up */
    bool waits_are_told;  /* base.waits was called in this broadcast */
    struct shared_word_waiting for_others, for_work;
};

/* ---- waiting ---- */

/* Lets MPI see to its own: it notices when the launcher is gone. */
static bool look_after_mpi(void *context)
{
    struct collective_shm *shm = context;
    int is_there;
    if (MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &is_there, MPI_STATUS_IGNORE) != MPI_SUCCESS)
        shm->base.status = STATUS_INTERNAL;
    return shm->base.status == STATUS_OK;
}

static bool look_while_waiting_for_work(void *context)
{
    struct collective_shm *shm = context;
    if (!look_after_mpi(shm))
        return false;
    if (shm->waits_are_told || !shm->base.waits)
        return true;
    shm->waits_are_told = true;
    if (!shm->base.waits(shm->base.waits_context))
        shm->base.status = STATUS_INTERNAL; /* this rank ends */
    return shm->base.status == STATUS_OK;
}

/* Returns whether all ranks have come here. */
static bool meet(struct collective_shm *shm)
{
    struct shared *shared = shm->shared;
    unsigned seen = atomic_load(&shared->round.value);
    if (atomic_fetch_add(&shared->n_arrived, 1) + 1 < (unsigned)shm->base.n_ranks)
        return shared_word_wait(&shared->round, seen, &shm->for_others);
    atomic_store(&shared->n_arrived, 0);
    shared_word_raise(&shared->round);
    return true;
}

/* As in collective_mpi.c: a rank whose device has failed takes part in nothing more. */
static bool is_well(struct collective_shm *shm)
{
    struct error error; /* kept by the device, which says it again when the step is waited for */
    if (shm->base.status == STATUS_OK && shm->backend)
        shm->base.status = shm->backend->synchronize(shm->device, &error);
    return shm->base.status == STATUS_OK;
}

/* ---- sums ---- */

/* The tree over the ranks from `first` on, of which there are `width` or, at the end, fewer. `width` is a
 * power of two. Returns a slice, or a row of `sums` that has the sum of [n], n at most CHUNK. */
static const float *add_tree(const struct collective_shm *shm, int first, int width, int64_t at, int64_t n,
                             float (*sums)[CHUNK])
{
    int half = width / 2;
    if (width == 1)
        return shm->slices[first] + at;
    const float *left = add_tree(shm, first, half, at, n, sums);
    if (first + half >= shm->base.n_ranks)
        return left;
    const float *right = add_tree(shm, first + half, half, at, n, sums + 1);
    for (int64_t i = 0; i < n; i++)
        sums[0][i] = left[i] + right[i];
    return sums[0];
}

/* to[n] and, unless NULL, also[n] = the sum of all slices. Both may be a slice. */
static void add_up(const struct collective_shm *shm, int64_t n, float *to, float *also)
{
    float sums[LEVELS][CHUNK];
    int width = 1;
    while (width < shm->base.n_ranks)
        width *= 2;
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t part = n - at < CHUNK ? n - at : CHUNK;
        const float *sum = add_tree(shm, 0, width, at, part, sums);
        memmove(to + at, sum, (size_t)part * sizeof *to);
        if (also)
            memmove(also + at, sum, (size_t)part * sizeof *also);
    }
}

static char *small_of(const struct collective_shm *shm, int rank)
{
    size_t place = (size_t)(shm->turn % 2) * (size_t)shm->base.n_ranks + (size_t)rank;
    return shm->small + place * SMALL_BYTES;
}

static void sum_small(struct collective_shm *shm, float *x, int64_t n)
{
    memcpy(small_of(shm, shm->base.rank), x, (size_t)n * sizeof *x);
    if (!meet(shm))
        return;
    for (int rank = 0; rank < shm->base.n_ranks; rank++)
        shm->slices[rank] = (const float *)(const void *)small_of(shm, rank);
    add_up(shm, n, x, NULL);
    shm->turn++;
}

/* A slice's place in a rank's row. */
static float *place_of(const struct collective_shm *shm, int rank, int slice)
{
    return shm->rows + ((int64_t)rank * shm->base.n_ranks + slice) * shm->slice_floats;
}

static int64_t slice_start(int64_t n, int slice, int n_ranks)
{
    int64_t n_lines = (n + LINE_FLOATS - 1) / LINE_FLOATS, start = n_lines * slice / n_ranks * LINE_FLOATS;
    return start < n ? start : n;
}

static void sum_large(struct collective_shm *shm, float *x, int64_t n)
{
    int me = shm->base.rank, n_ranks = shm->base.n_ranks;
    int64_t starts[2] = {slice_start(n, me, n_ranks), slice_start(n, me + 1, n_ranks)};
    for (int slice = 0; slice < n_ranks; slice++) {
        int64_t start = slice_start(n, slice, n_ranks), end = slice_start(n, slice + 1, n_ranks);
        if (slice != me)
            memcpy(place_of(shm, me, slice), x + start, (size_t)(end - start) * sizeof *x);
    }
    if (!meet(shm))
        return;
    for (int rank = 0; rank < n_ranks; rank++)
        shm->slices[rank] = rank == me ? x + starts[0] : place_of(shm, rank, me);
    add_up(shm, starts[1] - starts[0], place_of(shm, me, me), x + starts[0]);
    if (!meet(shm))
        return;
    for (int slice = 0; slice < n_ranks; slice++) {
        int64_t start = slice_start(n, slice, n_ranks), end = slice_start(n, slice + 1, n_ranks);
        if (slice != me)
            memcpy(x + start, place_of(shm, slice, slice), (size_t)(end - start) * sizeof *x);
    }
}

static void shm_all_reduce(struct collective *collective, float *x, int64_t n)
{
    struct collective_shm *shm = (struct collective_shm *)collective;
    double start = clock_seconds();
    for (int64_t at = 0; at < n && is_well(shm); at += PIECE) {
        int64_t part = n - at < PIECE ? n - at : PIECE;
        if (part <= SMALL_FLOATS)
            sum_small(shm, x + at, part);
        else
            sum_large(shm, x + at, part);
    }
    collective->seconds += clock_seconds() - start;
}

/* ---- gathers ---- */

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* Of every rank's part the bytes from `at` on, as many as are exchanged in one meeting. */
static void gather_piece(struct collective_shm *shm, const char *part, const int *sizes_bytes, int at,
                         char *to)
{
    int mine = sizes_bytes[shm->base.rank] - at;
    if (mine > 0)
        memcpy(small_of(shm, shm->base.rank), part + at, (size_t)smaller(mine, SMALL_BYTES));
    if (!meet(shm))
        return;
    for (int rank = 0; rank < shm->base.n_ranks; to += sizes_bytes[rank++]) {
        int left = sizes_bytes[rank] - at;
        if (left > 0)
            memcpy(to + at, small_of(shm, rank), (size_t)smaller(left, SMALL_BYTES));
    }
    shm->turn++;
}

/* Goes on as long as `may`. */
static void gather_all(struct collective_shm *shm, const void *part, const int *sizes_bytes, void *to,
                       bool (*may)(struct collective_shm *shm))
{
    int largest = 0;
    for (int rank = 0; rank < shm->base.n_ranks; rank++)
        largest = sizes_bytes[rank] > largest ? sizes_bytes[rank] : largest;
    for (int at = 0; at < largest && may(shm); at += SMALL_BYTES)
        gather_piece(shm, part, sizes_bytes, at, to);
}

static void shm_gather(struct collective *collective, const void *part, const int *sizes_bytes, void *to)
{
    double start = clock_seconds();
    gather_all((struct collective_shm *)collective, part, sizes_bytes, to, is_well);
    collective->seconds += clock_seconds() - start;
}

static bool is_whole(struct collective_shm *shm)
{
    return shm->base.status == STATUS_OK;
}

/* Of the host alone: ranks tell each other by it that a device has failed. */
static void shm_exchange(struct collective *collective, const void *part, size_t size_bytes, void *to)
{
    struct collective_shm *shm = (struct collective_shm *)collective;
    for (int rank = 0; rank < collective->n_ranks; rank++)
        shm->sizes[rank] = (int)size_bytes;
    gather_all(shm, part, shm->sizes, to, is_whole);
}

/* ---- broadcasts ---- */

static void write_plan(struct collective_shm *shm, const char *from, size_t size_bytes)
{
    struct shared *shared = shm->shared;
    unsigned n_written = atomic_load(&shared->broadcasts.value);
    if (!shared_word_wait(&shared->copies, n_written - 1, &shm->for_others))
        return;
    memcpy(shm->plan, from, size_bytes);
    shared_word_raise(&shared->broadcasts);
}

static void copy_plan(struct collective_shm *shm, char *to, size_t size_bytes)
{
    struct shared *shared = shm->shared;
    if (!shared_word_wait(&shared->broadcasts, shm->n_copied, &shm->for_work))
        return;
    memcpy(to, shm->plan, size_bytes);
    shm->n_copied++;
    if (atomic_fetch_add(&shared->n_copied, 1) + 2 < (unsigned)shm->base.n_ranks)
        return;
    atomic_store(&shared->n_copied, 0);
    shared_word_raise(&shared->copies);
}

static void shm_broadcast(struct collective *collective, void *host, size_t size_bytes)
{
    struct collective_shm *shm = (struct collective_shm *)collective;
    shm->waits_are_told = false;
    for (size_t at = 0; at < size_bytes && collective->status == STATUS_OK; at += PLAN_BYTES) {
        size_t part = size_bytes - at < PLAN_BYTES ? size_bytes - at : PLAN_BYTES;
        if (collective->rank == 0)
            write_plan(shm, (const char *)host + at, part);
        else
            copy_plan(shm, (char *)host + at, part);
    }
}

/* ---- life ---- */

/* Takes the memory of this rank's row now, near the cores that this rank runs on. The values stay: another
 * rank may still read the last sum. */
static void touch_row(const struct collective_shm *shm, int64_t n)
{
    enum { PAGE_FLOATS = 1024 };
    int64_t used = (n < PIECE ? n : PIECE) / shm->base.n_ranks + LINE_FLOATS;
    for (int slice = 0; slice < shm->base.n_ranks; slice++) {
        volatile float *place = place_of(shm, shm->base.rank, slice);
        for (int64_t at = 0; at < used && at < shm->slice_floats; at += PAGE_FLOATS)
            place[at] = place[at];
    }
}

static bool shm_bind(struct collective *collective, const struct backend *backend, struct device *device,
                     int64_t max_elements)
{
    struct collective_shm *shm = (struct collective_shm *)collective;
    shm->backend = backend;
    shm->device = device;
    touch_row(shm, max_elements);
    return true;
}

static void shm_unbind(struct collective *collective)
{
    struct collective_shm *shm = (struct collective_shm *)collective;
    shm->backend = NULL;
    shm->device = NULL;
}

static void shm_free(struct collective *collective)
{
    struct collective_shm *shm = (struct collective_shm *)collective;
    shared_block_close(&shm->block);
    free(shm->sizes);
    free(shm->slices);
    free(shm);
}

static const struct collective_table shm_table = {
    .name = "shm",
    .bind = shm_bind,
    .unbind = shm_unbind,
    .all_reduce = shm_all_reduce,
    .gather = shm_gather,
    .broadcast = shm_broadcast,
    .exchange = shm_exchange,
    .free = shm_free,
};

static enum status share(struct collective_shm *shm, struct collective *base, struct error *error)
{
    size_t n_ranks = (size_t)base->n_ranks, n_lines = PIECE / LINE_FLOATS;
    size_t slice_floats = (n_lines + n_ranks - 1) / n_ranks * LINE_FLOATS;
    size_t small_bytes = 2 * n_ranks * SMALL_BYTES, row_bytes = n_ranks * slice_floats * sizeof(float);
    enum status status = shared_block_open(
        &shm->block, base, sizeof *shm->shared + small_bytes + PLAN_BYTES + n_ranks * row_bytes, error);
    if (status != STATUS_OK)
        return status;
    shm->shared = shm->block.memory;
    shm->small = (char *)shm->block.memory + sizeof *shm->shared;
    shm->plan = shm->small + small_bytes;
    shm->rows = (float *)(void *)(shm->plan + PLAN_BYTES);
    shm->slice_floats = (int64_t)slice_floats;
    return STATUS_OK;
}

/* The launcher knows whether all that it starts here, other replicas too, has more threads than there are
 * cores. It tells MPI, and MPI's setting is ours. Another launcher may not have told. */
static bool shares_cores(const struct collective *base)
{
    const char *yields = getenv("OMPI_MCA_mpi_yield_when_idle");
    return (yields && strcmp(yields, "0") != 0) || base->n_local > sysconf(_SC_NPROCESSORS_ONLN);
}

enum status collective_shm_create(struct collective *base, struct collective **made, struct error *error)
{
    struct error said = {0};
    struct collective_shm *shm = calloc(1, sizeof *shm);
    if (shm) {
        shm->base = *base;
        shm->base.table = &shm_table;
        shm->for_others = (struct shared_word_waiting){shares_cores(base), look_after_mpi, shm};
        shm->for_work = (struct shared_word_waiting){shares_cores(base), look_while_waiting_for_work, shm};
        shm->sizes = calloc((size_t)base->n_ranks, sizeof *shm->sizes);
        shm->slices = calloc((size_t)base->n_ranks, sizeof *shm->slices);
    }
    enum status status = !shm || !shm->sizes || !shm->slices
                             ? error_set(&said, STATUS_RESOURCE_EXHAUSTED, "no memory to share a memory")
                             : STATUS_OK;
    status = collective_agree(base, status, &said);
    if (status == STATUS_OK)
        status = share(shm, base, &said);
    if (status == STATUS_OK) {
        *made = &shm->base;
        return STATUS_OK;
    }
    if (shm)
        shm_free(&shm->base);
    *error = said;
    return status;
}
