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

/* Of the device's memory, in bytes; on the CPU the host's is the device's. */
struct memory_need {
    size_t weights, conditioning, activations, sampling, exchange, workspace, total;
    size_t host; /* pinned memory of the host; on the CPU it is part of the above */
    bool estimated;
};

/* The most floats that one exchange between the ranks moves in a step of max_rows rows. */
int64_t memory_exchanged_floats(const struct model_config *config, int n_ranks, int max_rows);

enum status memory_need(const struct memory_request *request, int rank, struct memory_need *need,
                        struct error *error);
/* Of the rank that needs most. */
enum status memory_need_largest(const struct memory_request *request, struct memory_need *need,
                                struct error *error);

/* The most rows, up to `most`, with which every rank's need fits into size_bytes; 0: not one. */
int memory_rows_that_fit(const struct memory_request *request, size_t size_bytes, int most);

/* OK where the need fits into size_bytes; else RESOURCE_EXHAUSTED: what did not fit, and what would. */
enum status memory_check(const struct memory_request *request, const struct memory_need *need,
                         size_t size_bytes, struct error *error);

/* "80GiB", "512M", "1000000": bytes, powers of 1024. INVALID_ARGUMENT says what was wrong. */
enum status memory_parse_size(const char *text, size_t *size_bytes, struct error *error);

#endif
