#ifndef MILLRACE_WORKER_VERIFY_LAW_H
#define MILLRACE_WORKER_VERIFY_LAW_H

#include "worker/verify/lookup.h"

/*
 * Compares the law that the sampler draws by with an expected one, without chance: by the inverse CDF, token
 * j is drawn for u in [c(j-1), c(j)), c the running sum of the expected law. Uniforms at growing distances on
 * both sides of every border are put through the sampler; *largest grows to the largest distance between a
 * uniform and the interval of the token that it drew. That is by how much, nearly, the sampler's CDF and the
 * expected one differ: distances grow by 4.
 *
 * `row` says how to draw (its uniforms are ignored); expected [n_ids] need not add up to one; one of zeros
 * says nothing. A token that was not drawn where one should have been counts as a distance of 1.
 */
enum status law_compare(struct lookup *lookup, const struct lookup_row *row, const double *expected,
                        double *largest, struct error *error);

/* P(jump) of each of n rows as the sampler has it (their uniforms are ignored). */
enum status law_jump_probabilities(struct lookup *lookup, const struct lookup_row *rows, int n, double *p,
                                   struct error *error);

#endif
