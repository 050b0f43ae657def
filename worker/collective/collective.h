#ifndef MILLRACE_WORKER_COLLECTIVE_COLLECTIVE_H
#define MILLRACE_WORKER_COLLECTIVE_COLLECTIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/backend.h"

/*
 * How the ranks of a replica exchange data: one small table, with an implementation for each transport.
 * `self` is for one rank, `mpi` for several, `shm` for several of one machine that compute in the host's
 * memory, and `nccl` comes with the CUDA backend.
 *
 * All ranks call the same functions in the same order. all_reduce and gather are ordered with the device's
 * own operations: they read what was enqueued before them. These functions return nothing; a failure is kept
 * in `status`, and the rank ends, because it cannot go on without the others. A rank whose device has failed
 * sets its own status and takes part in no all_reduce and no gather from then on. It must end, since the
 * others wait for it.
 */
struct collective;

struct collective_table {
    const char *name;
    bool on_device; /* all_reduce and gather are the device's own work: enqueued, and part of what it can
                       record */
    /* Called before the first all_reduce. It names the device whose memory is exchanged. max_elements is the
     * largest n of an all_reduce or, in floats, the largest `to` of a gather. Asks no other rank. false:
     * there is not enough memory. */
    bool (*bind)(struct collective *collective, const struct backend *backend, struct device *device,
                 int64_t max_elements);
    /* Called after the last operation, before the exchanged memory is released and the device is closed. */
    void (*unbind)(struct collective *collective);
    /* x[n] = the sum over all ranks, added as the balanced tree ((0+1)+(2+3))+... in the order of the ranks.
     * All ranks get the same bits. */
    void (*all_reduce)(struct collective *collective, float *x, int64_t n);
    /* to = the ranks' parts one after another, in the order of the ranks. sizes_bytes[n_ranks] is the same on
     * every rank. With one rank, `to` is `part` itself, or both are host memory. */
    void (*gather)(struct collective *collective, const void *part, const int *sizes_bytes, void *to);
    /* Host memory of rank 0 to all. Waiting is patient: a rank that waits for work uses no CPU to speak of.
     */
    void (*broadcast)(struct collective *collective, void *host, size_t size_bytes);
    /* Sends every rank's `part`, host memory, to all ranks and waits for it. For start-up and verdicts. */
    void (*exchange)(struct collective *collective, const void *part, size_t size_bytes, void *to);
    /* Waits for the device's mark, and notices meanwhile when another rank is lost. NULL: the device's own
     * wait is enough. */
    enum status (*wait)(struct collective *collective, int slot, struct error *error);
    void (*free)(struct collective *collective);
};

struct collective {
    const struct collective_table *table;
    int rank, n_ranks;
    int local_rank, n_local; /* this rank's number on its machine, and how many ranks are there */
    /* Called once in a broadcast that has waited for a while. false: this rank must not wait any longer; the
     * broadcast then returns, and the status is not OK. NULL: nothing is called. */
    bool (*waits)(void *context);
    void *waits_context;
    double spin_seconds; /* how long a broadcast looks without a pause; 0: the transport's own choice */
    double seconds;      /* spent in all_reduce and gather since start, waiting for others included */
    enum status status;
};

/* One rank. Never fails. */
struct collective *collective_self_create(void);

/* MPI_COMM_WORLD, which must be initialised; `self` where it has one rank. NULL without memory. */
struct collective *collective_mpi_create(void);

/* All ranks of `base` together, which must be on one machine, with devices that compute in the host's memory.
 * UNAVAILABLE, on all of them alike: they cannot share memory. `base` must outlive it. */
enum { COLLECTIVE_SHM_RANKS_MAX = 256 };
enum status collective_shm_create(struct collective *base, struct collective **made, struct error *error);

/*
 * After `device` is open, on all ranks together: the collective that works on that device over `base`, which
 * bootstraps it. *made is NULL where `base` itself is to be used: alone, with exchange "mpi", or with "auto"
 * (NULL) where ranks on CPUs cannot share memory or the build for GPUs has no NCCL. UNAVAILABLE: exchange
 * "shm" or "nccl" cannot be had.
 */
enum status collective_on_device(struct collective *base, const char *exchange, const struct backend *backend,
                                 struct device *device, struct collective **made, struct error *error);

void collective_free(struct collective *collective); /* unbound; NULL is allowed */

/* The verdict of all ranks about something each tried: the first rank that failed decides, and all ranks get
 * its status and sentence ("rank 2: ..."). STATUS_OK where all succeeded. */
enum status collective_agree(struct collective *collective, enum status mine, struct error *error);

/* Which rank a verdict's sentence names; -1: the sentence is no verdict. A sentence on which ranks agreed
 * before keeps the rank that it names. */
int collective_rank_of(const char *text);

/* As collective_agree. A rank above 0 that failed logs its own sentence first: the verdict may be another
 * rank's, and rank 0 logs the verdict. */
enum status collective_verdict(struct collective *collective, enum status mine, struct error *error);

#endif
