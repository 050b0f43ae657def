#ifndef MILLRACE_WORKER_MODEL_MEMORY_H
#define MILLRACE_WORKER_MODEL_MEMORY_H

#include "common/model/tensors.h"
#include "kernels/workspace.h"
#include "worker/model/plan.h"

/*
 * What a rank will allocate, before it does. Nothing here is a second formula: the functions that allocate
 * (weights, conditioning, inputs, forward, sampler, exchange_buffers) run on a backend that only counts, and
 * sizes of weights are those by which the backends allocate (kernels/weight_layout.h). The test holds the
 * result against what is really allocated.
 */
struct memory_request {
    const struct model_config *config;
    const struct tensors *tensors;
    int n_ranks;
    bool gpu;
    enum precision precision; /* AUTO: the backend's own */
    int n_threads;            /* CPU */
    bool nccl;                /* GPU: the ranks' sums are the device's own work */
    struct plan_limits limits;
};

/* In bytes of the device's memory; on the CPU that is the host's. */
struct memory_need {
    size_t weights, conditioning, activations, sampling, exchange, workspace;
    size_t
        reserve; /* GPU: for what CUDA, cuBLASLt and NCCL take while they run: kernels, graphs, connections */
    size_t total;
    size_t host; /* pinned memory of the host; on the CPU it is part of the above */
    bool estimated;
};

/* The most floats that one exchange between the ranks moves in a step of max_rows rows. */
int64_t memory_exchanged_floats(const struct model_config *config, int n_ranks, int max_rows);

enum status memory_need(const struct memory_request *request, int rank, struct memory_need *need,
                        struct error *error);
/* The need of the rank that needs most. */
enum status memory_need_largest(const struct memory_request *request, struct memory_need *need,
                                struct error *error);

/* How many rows, at most `most`, a batch may have so that the need of every rank fits into size_bytes; 0:
 * none. */
int memory_rows_that_fit(const struct memory_request *request, size_t size_bytes, int most);

/* OK when the need fits into size_bytes. Otherwise RESOURCE_EXHAUSTED says what does not fit, and what would.
 */
enum status memory_check(const struct memory_request *request, const struct memory_need *need,
                         size_t size_bytes, struct error *error);

/* What a rank may take: a size, or a fraction of all that its GPU has. Both 0: nothing was said. */
struct memory_share {
    size_t bytes;
    double fraction; /* at most 1 */
};

/* Reads "40GiB" as memory_parse_size, and a number up to 1 as a fraction, "0.45". */
enum status memory_parse_share(const char *text, struct memory_share *share, struct error *error);

/* Reads "80GiB", "512M" or "1000000" as bytes; units are powers of 1024. INVALID_ARGUMENT says what is wrong.
 */
enum status memory_parse_size(const char *text, size_t *size_bytes, struct error *error);

#endif
