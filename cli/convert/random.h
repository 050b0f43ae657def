#ifndef MILLRACE_CLI_CONVERT_RANDOM_H
#define MILLRACE_CLI_CONVERT_RANDOM_H

#include <stdint.h>

#include "common/dtype.h"
#include "common/model/config.h"
#include "common/status.h"

/*
 * A model directory with random weights, for measuring speed: an FS-DFM of the same shapes, which does the
 * same work and means nothing. It has no tokenizer.json, so only `millrace bench` and `millrace inspect` can
 * use it.
 *
 * The weights keep activations as large as in a trained network. Every linear layer preserves the variance of
 * its input, and adaLN modulates by about a tenth. Logits have a standard deviation of 3, which leaves about
 * as much choice for each token as text does (6 nats of 10.8).
 */
struct random_options {
    const char *size;      /* "nano", "mini", "0.17B", "1.3B", "1.7B"; "mdlm-small" of a published network */
    const char *directory; /* made if it is not there; must not hold a model */
    uint64_t seed;         /* the same seed gives the same bytes */
    int vocabulary;        /* 0: as published */
    enum dtype dtype;      /* of the matrices: F32 or BF16 */
    enum source source;
};

/* Writes model.safetensors and config.json. INVALID_ARGUMENT names the sizes that there are. */
enum status random_model(const struct random_options *options, struct model_config *config,
                         struct error *error);

/* `millrace random`: returns the exit status. */
int random_main(int argc, char **argv);

#endif
