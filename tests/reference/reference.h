#ifndef MILLRACE_TESTS_REFERENCE_REFERENCE_H
#define MILLRACE_TESTS_REFERENCE_REFERENCE_H

#include "kernels/backend.h"

/*
 * Every operation of kernels/backend.h once more: in double precision, from the formula, one loop per index,
 * nothing clever. It judges all backends. Inputs are the same float arrays and structs that the backend gets;
 * results are double.
 */

double reference_activation(enum activation activation, double x);

/* y[rows, n_out] = activation(x · w^T + bias); w[n_out, n_in] dense */
void reference_matmul(const float *x, int64_t ld_x, int rows, const float *w, int n_out, int n_in,
                      const float *bias, enum activation activation, double *y);

/* y[rows, width] */
void reference_norm_modulate(const struct norm_modulate *op, double *y);

/* x[rows, width] from the op's x as it is before */
void reference_gated_add(const struct gated_add *op, double *x);

/* o[n_queries, n_heads * head_size], dense */
void reference_attention(const struct attention *op, double *o);

/* logits[rows, n_out] = (x · w^T + bias) * inverse_temperature */
void reference_logits(const struct head_scan *op, const float *w, int n_out, int n_in, double *logits);

/*
 * The law of one row: what becomes of it, given logits[n] of the whole vocabulary, its left-out token (-1:
 * none), the bound of head_choose and the two uniforms.
 */
struct reference_choice {
    int32_t token; /* -1: keeps its token */
    double jump_probability;
    double log_probability; /* of `token` */
    double margin; /* distance of u_draw from the nearest border of the token's interval, and of u_jump from
                      the probability */
};
struct reference_choice reference_choose(const double *logits, int n, int32_t left_out, double bound,
                                         double u_jump, double u_draw);

#endif
