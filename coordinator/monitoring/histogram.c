#include "coordinator/monitoring/histogram.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

void histogram_init(struct histogram *histogram, const double *bounds, int n_bounds, double resolution)
{
    assert(n_bounds > 0 && n_bounds <= HISTOGRAM_BOUNDS_MAX);
    *histogram = (struct histogram){.bounds = bounds, .n_bounds = n_bounds, .resolution = resolution};
}

void histogram_observe(struct histogram *histogram, double value)
{
    int bucket = 0;
    if (!(value > 0))
        value = 0;
    while (bucket < histogram->n_bounds && value > histogram->bounds[bucket])
        bucket++;
    uint64_t units = (uint64_t)fmin(value / histogram->resolution + 0.5, 0x1p62);
    atomic_fetch_add_explicit(&histogram->counts[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, units, memory_order_relaxed);
}

struct histogram_copy histogram_copy(const struct histogram *histogram)
{
    struct histogram_copy copy = {.bounds = histogram->bounds, .n_bounds = histogram->n_bounds};
    for (int i = 0; i <= histogram->n_bounds; i++) {
        copy.counts[i] = atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        copy.n += copy.counts[i];
    }
    copy.sum = (double)atomic_load_explicit(&histogram->sum, memory_order_relaxed) * histogram->resolution;
    return copy;
}

struct histogram_copy histogram_since(const struct histogram_copy *now, const struct histogram_copy *before)
{
    struct histogram_copy difference = *now;
    for (int i = 0; i <= now->n_bounds; i++)
        difference.counts[i] -= before->counts[i];
    difference.n -= before->n;
    difference.sum -= before->sum;
    return difference;
}

double histogram_quantile(const struct histogram_copy *copy, double q)
{
    double rank = q * (double)copy->n, below = 0;
    int bucket = 0;
    if (!copy->n)
        return NAN;
    while (bucket < copy->n_bounds && below + (double)copy->counts[bucket] < rank)
        below += (double)copy->counts[bucket++];
    if (bucket == copy->n_bounds)
        return copy->bounds[copy->n_bounds - 1];
    double low = bucket ? copy->bounds[bucket - 1] : 0, high = copy->bounds[bucket];
    double inside = copy->counts[bucket] ? (rank - below) / (double)copy->counts[bucket] : 1;
    return low + (high - low) * inside;
}

static void write_bucket(struct exposition *page, const char *name, double bound, uint64_t n)
{
    char le[32];
    snprintf(le, sizeof le, "%.15g", bound);
    exposition_sample(page, name, (double)n, "le", le, NULL);
}

void histogram_write(const struct histogram *histogram, const char *name, const char *help,
                     struct exposition *page)
{
    struct histogram_copy copy = histogram_copy(histogram);
    char sample[96];
    uint64_t n = 0;
    exposition_family(page, name, "histogram", help);
    snprintf(sample, sizeof sample, "%s_bucket", name);
    for (int i = 0; i < copy.n_bounds; i++)
        write_bucket(page, sample, copy.bounds[i], n += copy.counts[i]);
    exposition_sample(page, sample, (double)copy.n, "le", "+Inf", NULL);
    snprintf(sample, sizeof sample, "%s_sum", name);
    exposition_sample(page, sample, copy.sum, NULL);
    snprintf(sample, sizeof sample, "%s_count", name);
    exposition_sample(page, sample, (double)copy.n, NULL);
}
