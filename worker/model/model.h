#ifndef MILLRACE_WORKER_MODEL_MODEL_H
#define MILLRACE_WORKER_MODEL_MODEL_H

#include "worker/model/forward.h"
#include "worker/model/memory.h"
#include "worker/model/sampler.h"

/* A model that is ready to take steps: one rank's device, weights, buffers and its line to the other ranks.
 */
struct model {
    const struct backend *backend;
    struct device *device;
    struct tensors *tensors;
    struct collective *collective; /* not owned, or on_device */
    struct collective *on_device;  /* NCCL over the one that was given; NULL: that one itself is used */
    struct model_weights weights;
    struct conditioning conditioning;
    struct inputs inputs;
    struct forward forward;
    struct sampler sampler;
    struct meters *meters; /* not owned; may be NULL */
    char fingerprint[17];
    struct memory_need needed_memory;
    double load_seconds;
    /* Since the start, when each of these was done: files and device; exchange between devices; everything.
     */
    double stage_seconds[3];
};

struct model_options {
    const char *directory;
    const char *backend; /* "auto", "cpu", "cuda" */
    int n_threads;
    enum precision precision;
    int gpu; /* which GPU of the machine; -1: that of the rank's number on it, modulo how many there are */
    const char *exchange;          /* "mpi", "nccl"; NULL or "auto": NCCL where device and build have it */
    struct collective *collective; /* the ranks that share the model; not owned, outlives it */
    size_t
        memory_bytes; /* that a rank may take; 0: what its device has, on a CPU divided by the ranks there */
    struct plan_limits limits; /* max_rows: raised to the model's longest text where it is less */
    struct meters *meters;     /* what loading and steps are counted in, or NULL; outlives the model */
};

/*
 * Opens everything. All ranks call it together and get the same verdict: where one fails, all return its
 * status and sentence. What was built is released then. The files are checked before they are touched.
 */
enum status model_open(struct model *model, const struct model_options *options, struct error *error);
void model_close(struct model *model); /* zeroed models are allowed */

/*
 * One step of the batch that the plan describes, in the plan's slot (all ranks, the same plans in the same
 * order). model_begin enqueues it and returns; the plan may change then. model_wait waits until it is over,
 * and returns what failed on the way; model_outcome then gives what became of plan.needed, [n_needed], valid
 * until the next call. A slot takes its next step when the last one was waited for; the other slot's may be
 * begun meanwhile.
 */
void model_begin(struct model *model, const struct plan *plan);
enum status model_wait(struct model *model, int slot, struct error *error);
const struct sampled *model_outcome(struct model *model, int slot);

/* All three; the outcome is in model->sampler.sampled. */
enum status model_step(struct model *model, const struct plan *plan, struct error *error);

#endif
