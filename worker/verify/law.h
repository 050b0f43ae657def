#ifndef MILLRACE_WORKER_VERIFY_LAW_H
#define MILLRACE_WORKER_VERIFY_LAW_H

#include "worker/verify/lookup.h"

/*
 * Compares the law by which the sampler draws with an expected law, without chance. The inverse CDF draws
 * token j for u in [c(j-1), c(j)), where c is the running sum of the expected law. This puts uniforms on both
 * sides of every border through the sampler, at distances that grow by a factor of 4. *largest becomes the
 * largest distance between a uniform and the interval of the token that it drew. So it is about the largest
 * difference between the sampler's CDF and the expected one.
 *
 * `row` says how to draw; its uniforms are ignored. expected[n_ids] need not add up to one; a law of zeros is
 * skipped. Where a token should have been drawn and none was, the distance counts as 1.
 */
enum status law_compare(struct lookup *lookup, const struct lookup_row *row, const double *expected,
                        double *largest, struct error *error);

/* The sampler's P(jump) for each of n rows; their uniforms are ignored. */
enum status law_jump_probabilities(struct lookup *lookup, const struct lookup_row *rows, int n, double *p,
                                   struct error *error);

#endif
