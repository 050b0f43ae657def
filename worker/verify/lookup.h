#ifndef MILLRACE_WORKER_VERIFY_LOOKUP_H
#define MILLRACE_WORKER_VERIFY_LOOKUP_H

#include "worker/model/sampler.h"
#include "worker/verify/golden.h"

/*
 * The worker's own sampler behind a model that is a table: an output layer whose matrix is the identity, so
 * that its input is its logits. With it, recorded probabilities go through the real scan, choose and draw,
 * sharded over the ranks.
 *
 * Rows are independent: each is a text of one token with a step of its own.
 */
enum { LOOKUP_ROWS = 512 };

struct lookup {
    const struct backend *backend;
    struct device *device;
    struct collective *collective;
    struct model_weights weights; /* only what the sampler reads */
    struct inputs inputs;
    struct sampler sampler;
    struct plan plan;
    float *x;      /* device [LOOKUP_ROWS, n_ids] */
    float *host_x; /* the same, while it is filled */
    int n_ids, n;  /* n: rows since the last run */
};

struct lookup_row {
    const double *logits; /* [n_ids]; see lookup_logit */
    int32_t id;           /* what the position holds */
    double bound;         /* negative: drawn from all of p */
    bool forbid_mask;
    double u_jump, u_draw;
};

/* mask_token: what forbid_mask forbids; -1: nothing. All ranks together. */
enum status lookup_open(struct lookup *lookup, const struct golden *golden, int n_ids, int mask_token,
                        struct error *error);
void lookup_close(struct lookup *lookup); /* zeroed ones are allowed */

/* Adds a row; false when LOOKUP_ROWS wait already. */
bool lookup_add(struct lookup *lookup, const struct lookup_row *row);

/* Samples the rows that wait: what became of row i is sampled[i], until the next run. */
enum status lookup_run(struct lookup *lookup, const struct sampled **sampled, struct error *error);

/* ln p; for p = 0 a number so low that it is never drawn beside any other, and finite: a head has no
 * infinities. */
double lookup_logit(double p);

#endif
