#ifndef MILLRACE_WORKER_MODEL_MODEL_H
#define MILLRACE_WORKER_MODEL_MODEL_H

#include "worker/model/forward.h"
#include "worker/model/memory.h"
#include "worker/model/sampler.h"

/* A model that is ready to take steps: one rank's device, weights and buffers, and its connection to the
 * other ranks. */
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
    /* Seconds from the start until each stage was done: files and device; exchange between devices; the rest.
     */
    double stage_seconds[3];
};

struct model_options {
    const char *directory;
    const char *backend; /* "auto", "cpu", "cuda" */
    int n_threads;
    enum precision precision;
    int gpu; /* which GPU of the machine; -1: the one of this rank's number there, modulo how many there are
              */
    const char *exchange;          /* "shm", "mpi", "nccl"; NULL or "auto": see collective_on_device */
    struct collective *collective; /* the ranks that share the model; not owned, outlives it */
    struct memory_share memory;    /* that a rank may take; zero: 0.92 of what its GPU has free, on a CPU the
                                      machine's divided by the ranks there */
    struct plan_limits limits;     /* max_rows: raised to the model's longest text where it is less */
    struct meters *meters;         /* what loading and steps are counted in, or NULL; outlives the model */
};

/*
 * Opens everything. All ranks call it together and get the same verdict: when one fails, all release what
 * they have built and return its status and sentence. The files are checked before their data is read.
 */
enum status model_open(struct model *model, const struct model_options *options, struct error *error);
void model_close(struct model *model); /* zeroed models are allowed */

/*
 * One step of the batch that the plan describes, in the plan's slot. All ranks make the same calls, with the
 * same plans in the same order. model_begin enqueues the step and returns; the plan may change then.
 * model_wait waits until the step is over and returns what failed in it. model_outcome then says what became
 * of each of plan.needed, [n_needed], valid until the next call. Before a slot takes its next step, its last
 * one must have been waited for; the other slot's step may begin meanwhile.
 */
void model_begin(struct model *model, const struct plan *plan);
enum status model_wait(struct model *model, int slot, struct error *error);
const struct sampled *model_outcome(struct model *model, int slot);

/* All three calls; the outcome is in model->sampler.sampled. */
enum status model_step(struct model *model, const struct plan *plan, struct error *error);

#endif
