#ifndef MILLRACE_WORKER_VERIFY_PASS_H
#define MILLRACE_WORKER_VERIFY_PASS_H

#include "worker/model/model.h"
#include "worker/verify/golden.h"

/* The inputs of one recorded forward pass: PREFIXx_t [sequences, length], PREFIXt and, for a student,
 * PREFIXdt [sequences]. */
struct pass {
    int n_sequences, length;
    const struct array *ids, *t, *dt; /* dt: NULL for a teacher */
};

enum status pass_read(struct golden_file *file, const char *prefix, struct pass *pass, struct error *error);

/* Runs the pass with every row needed, so that the last block and the output layer run for all rows, too. *x
 * is the result of forward_run. */
enum status pass_run(struct model *model, const struct golden_file *file, const struct pass *pass,
                     const void **x, struct error *error);

/* The logits [rows, n_ids] with the columns of all ranks, the same on all ranks; malloc'ed. NULL without
 * memory. */
float *pass_logits(struct model *model, const void *x, int rows);

#endif
