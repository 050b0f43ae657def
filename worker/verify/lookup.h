#ifndef MILLRACE_WORKER_VERIFY_LOOKUP_H
#define MILLRACE_WORKER_VERIFY_LOOKUP_H

#include "worker/model/sampler.h"
#include "worker/verify/golden.h"

/*
 * The worker's own sampler behind a model that is a table: the matrix of its output layer is the identity, so
 * the input of that layer is the logits. So recorded probabilities go through the real scan, choose and draw,
 * sharded over the ranks.
 *
 * Rows are independent. Each is a text of one token with a step of its own.
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

/* All ranks call it together. mask_token is the token that forbid_mask forbids; -1: none. */
enum status lookup_open(struct lookup *lookup, const struct golden *golden, int n_ids, int mask_token,
                        struct error *error);
void lookup_close(struct lookup *lookup); /* zeroed ones are allowed */

/* Adds a row; false when LOOKUP_ROWS rows wait already. */
bool lookup_add(struct lookup *lookup, const struct lookup_row *row);

/* Samples the rows that wait. sampled[i] says what became of row i, until the next run. */
enum status lookup_run(struct lookup *lookup, const struct sampled **sampled, struct error *error);

/* ln p. For p = 0 it is a finite number, because a head has no infinities, but so low that the token is never
 * drawn beside another. */
double lookup_logit(double p);

#endif
