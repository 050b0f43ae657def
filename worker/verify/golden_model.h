#ifndef MILLRACE_WORKER_VERIFY_GOLDEN_MODEL_H
#define MILLRACE_WORKER_VERIFY_GOLDEN_MODEL_H

#include "worker/model/model.h"
#include "worker/verify/golden.h"

/* The largest work that will run on a model. */
struct golden_load {
    int n_sequences, length; /* of the largest batch */
    double exponent;         /* of the scheduler */
};

/*
 * Opens a model of the manifest on all ranks. It makes a model directory for it: config.json comes from the
 * manifest's entry `model`, and `weights` is a file of the golden directory. INVALID_ARGUMENT: this engine
 * cannot run the entry (another MLP ratio, another eps, ...).
 */
enum status golden_model_open(const struct golden *golden, const char *model, const char *weights,
                              struct golden_load load, struct model *opened, struct error *error);

/*
 * The weights of `model`: the entry's "weights" or, where it has several networks, its "weights_NETWORK".
 * NULL: it has none.
 */
const char *golden_weights(const struct golden *golden, const char *model, const char *network);

/* The model of the manifest to which a weights file belongs; NULL: none. */
const char *golden_model_of(const struct golden *golden, const char *weights);

#endif
