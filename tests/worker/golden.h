#ifndef MILLRACE_TESTS_WORKER_GOLDEN_H
#define MILLRACE_TESTS_WORKER_GOLDEN_H

#include <jansson.h>

#include "common/model/tensors.h"
#include "worker/model.h"

/* The golden vectors: made by running the reference implementation (their README says how). */

/* PATH of `file` in $MILLRACE_SHARED/golden/public; a static buffer. */
const char *golden_path(const char *file);
struct tensors *golden_open(const char *file); /* stops the test program when it cannot */
json_t *golden_manifest(void);

const struct tensor *golden_tensor(const struct tensors *tensors, const char *name); /* must be there */
const int64_t *golden_i64(const struct tensors *tensors, const char *name);
const float *golden_f32(const struct tensors *tensors, const char *name);

/* A model directory made of a golden model's weights; opened on all ranks of `collective`. */
void golden_model(struct model *model, const char *name, double exponent, struct collective *collective);

/* The largest `mine` of all ranks, the same on all: assert on that, so that no rank leaves the others waiting. */
double largest_of_ranks(struct collective *collective, double mine);

#endif
