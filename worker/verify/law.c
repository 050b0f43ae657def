#include "worker/verify/law.h"

#include <math.h>
#include <stdlib.h>

static const double nearest = 1e-9, farthest = 0.1, growth = 4;

/* The law as a running sum that ends at 1. */
struct intervals {
    int n;
    double *end;           /* [n] */
    double u[LOOKUP_ROWS]; /* of the rows that wait */
};

static double distance(const struct intervals *intervals, int token, double u)
{
    if (token < 0 || token >= intervals->n)
        return 1;
    double start = token ? intervals->end[token - 1] : 0, end = intervals->end[token];
    return u < start ? start - u : u > end ? u - end : 0;
}

static enum status run(struct lookup *lookup, const struct intervals *intervals, double *largest,
                       struct error *error)
{
    const struct sampled *sampled;
    int n = lookup->n;
    enum status status = lookup_run(lookup, &sampled, error);
    for (int i = 0; i < n && status == STATUS_OK; i++)
        *largest = fmax(*largest, distance(intervals, sampled[i].token, intervals->u[i]));
    return status;
}

static enum status probe(struct lookup *lookup, struct lookup_row row, double u, struct intervals *intervals,
                         double *largest, struct error *error)
{
    if (u < 0 || u >= 1)
        return STATUS_OK;
    row.u_jump = 0;
    row.u_draw = u;
    intervals->u[lookup->n] = u;
    lookup_add(lookup, &row);
    return lookup->n == LOOKUP_ROWS ? run(lookup, intervals, largest, error) : STATUS_OK;
}

enum status law_compare(struct lookup *lookup, const struct lookup_row *row, const double *expected,
                        double *largest, struct error *error)
{
    struct intervals intervals = {.n = lookup->n_ids, .end = malloc((size_t)lookup->n_ids * sizeof(double))};
    double total = 0;
    enum status status = STATUS_OK;
    if (!intervals.end)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a law of %d tokens", lookup->n_ids);
    for (int i = 0; i < intervals.n; i++)
        intervals.end[i] = total += expected[i];
    for (int i = 0; i < intervals.n; i++)
        intervals.end[i] /= total;
    if (!isfinite(total)) /* NaN compares as equal to everything */
        *largest = INFINITY;
    for (int i = 0; i < intervals.n && status == STATUS_OK && total > 0; i++) {
        for (double step = nearest; step < farthest && status == STATUS_OK; step *= growth) {
            status = probe(lookup, *row, intervals.end[i] - step, &intervals, largest, error);
            if (status == STATUS_OK)
                status = probe(lookup, *row, intervals.end[i] + step, &intervals, largest, error);
        }
    }
    if (status == STATUS_OK && lookup->n > 0)
        status = run(lookup, &intervals, largest, error);
    free(intervals.end);
    return status;
}

enum status law_jump_probabilities(struct lookup *lookup, const struct lookup_row *rows, int n, double *p,
                                   struct error *error)
{
    enum status status = STATUS_OK;
    for (int first = 0; first < n && status == STATUS_OK; first += LOOKUP_ROWS) {
        const struct sampled *sampled;
        for (int i = first; i < n && lookup_add(lookup, &rows[i]); i++) {
        }
        int added = lookup->n;
        status = lookup_run(lookup, &sampled, error);
        for (int i = 0; i < added && status == STATUS_OK; i++)
            p[first + i] = sampled[i].jump_probability;
    }
    return status;
}
