#ifndef MILLRACE_TESTS_WORKER_GOLDEN_H
#define MILLRACE_TESTS_WORKER_GOLDEN_H

#include "worker/model/model.h"

/* The golden vectors beside the project, for tests that only need a model; worker/verify checks the vectors
 * themselves. */

/* $MILLRACE_SHARED/golden/public; a static buffer. Where it is not there the program ends as skipped. */
const char *golden_directory(void);

/* The model of weights_NAME.safetensors, opened on all ranks of `collective`; the test program stops when it
 * cannot. */
void golden_model(struct model *model, const char *name, double exponent, struct collective *collective);

#endif
