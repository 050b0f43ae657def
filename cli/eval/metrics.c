#include "cli/eval/metrics.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double metrics_entropy_bits(const uint32_t *ids, size_t n_ids, uint32_t *scratch)
{
    double entropy = 0;
    memcpy(scratch, ids, n_ids * sizeof *ids);
    qsort(scratch, n_ids, sizeof *scratch, compare_ids);
    for (size_t first = 0, end; first < n_ids; first = end) {
        for (end = first + 1; end < n_ids && scratch[end] == scratch[first];)
            end++;
        double p = (double)(end - first) / (double)n_ids;
        entropy -= p * log2(p);
    }
    return entropy;
}

/* The runs stay in the text and are compared there. */
struct run_order {
    const uint32_t *ids;
    size_t n;
};

static int compare_runs(const void *a, const void *b, void *argument)
{
    const struct run_order *order = argument;
    const uint32_t *x = order->ids + *(const uint32_t *)a, *y = order->ids + *(const uint32_t *)b;
    for (size_t i = 0; i < order->n; i++) {
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

double metrics_distinct(const uint32_t *ids, size_t n_ids, size_t n, uint32_t *scratch)
{
    struct run_order order = {ids, n};
    if (n_ids < n)
        return NAN;
    size_t n_runs = n_ids - n + 1, n_distinct = 1;
    for (size_t i = 0; i < n_runs; i++)
        scratch[i] = (uint32_t)i;
    qsort_r(scratch, n_runs, sizeof *scratch, compare_runs, &order);
    for (size_t i = 1; i < n_runs; i++)
        n_distinct += compare_runs(&scratch[i - 1], &scratch[i], &order) != 0;
    return (double)n_distinct / (double)n_runs;
}

struct estimate metrics_estimate(const double *values, size_t n)
{
    double sum = 0, squares = 0;
    size_t known = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(values[i])) {
            sum += values[i];
            known++;
        }
    }
    if (known == 0)
        return (struct estimate){NAN, NAN};
    double mean = sum / (double)known;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(values[i]))
            squares += (values[i] - mean) * (values[i] - mean);
    }
    double variance = known > 1 ? squares / (double)(known - 1) : NAN;
    return (struct estimate){mean, sqrt(variance / (double)known)};
}

struct estimate metrics_corpus_perplexity(const struct sample *const *samples, size_t n)
{
    double nll = 0, tokens = 0, judged = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        if (samples[i]->n_judge_tokens > 0) {
            nll += samples[i]->nll;
            tokens += samples[i]->n_judge_tokens;
            judged++;
        }
    }
    if (judged == 0)
        return (struct estimate){NAN, NAN};
    double rate = nll / tokens;
    for (size_t i = 0; i < n; i++) {
        double residual = samples[i]->nll - rate * samples[i]->n_judge_tokens;
        squares += samples[i]->n_judge_tokens > 0 ? residual * residual : 0;
    }
    double error_of_rate = judged > 1 ? sqrt(judged * squares / (judged - 1)) / tokens : NAN;
    return (struct estimate){exp(rate), exp(rate) * error_of_rate};
}

/* The measures that are averaged over texts. */
enum {
    COLUMN_PERPLEXITY,
    COLUMN_ENTROPY,
    COLUMN_LOG_PROBABILITY,
    COLUMN_SECONDS,
    COLUMN_DISTINCT,
    N_COLUMNS = COLUMN_DISTINCT + DISTINCT_MAX
};

static void fill_row(const struct sample *sample, uint32_t *scratch, double *columns, size_t n, size_t row)
{
    bool judged = sample->n_judge_tokens > 0;
    columns[COLUMN_PERPLEXITY * n + row] = judged ? exp(sample->nll / sample->n_judge_tokens) : NAN;
    columns[COLUMN_ENTROPY * n + row] = metrics_entropy_bits(sample->ids, sample->n_ids, scratch);
    columns[COLUMN_LOG_PROBABILITY * n + row] = sample->log_probability;
    columns[COLUMN_SECONDS * n + row] = sample->seconds;
    for (size_t k = 0; k < DISTINCT_MAX; k++)
        columns[(COLUMN_DISTINCT + k) * n + row] =
            metrics_distinct(sample->ids, sample->n_ids, k + 1, scratch);
}

static size_t longest_of(const struct sample *const *samples, size_t n)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        longest = samples[i]->n_ids > longest ? samples[i]->n_ids : longest;
    return longest;
}

enum status metrics_of(const struct sample *const *samples, size_t n, struct metrics *metrics,
                       struct error *error)
{
    double *columns = calloc(N_COLUMNS * n, sizeof *columns);
    uint32_t *scratch = calloc(longest_of(samples, n) + 1, sizeof *scratch);
    if (!columns || !scratch) {
        free(columns);
        free(scratch);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to measure %zu texts", n);
    }
    *metrics = (struct metrics){
        .model = samples[0]->model, .steps = samples[0]->steps, .n_texts = n, .tokens_per_second = NAN};
    for (size_t i = 0; i < n; i++) {
        fill_row(samples[i], scratch, columns, n, i);
        metrics->n_judged += samples[i]->n_judge_tokens > 0;
    }
    metrics->perplexity = metrics_estimate(columns + COLUMN_PERPLEXITY * n, n);
    metrics->corpus_perplexity = metrics_corpus_perplexity(samples, n);
    metrics->entropy_bits = metrics_estimate(columns + COLUMN_ENTROPY * n, n);
    metrics->log_probability = metrics_estimate(columns + COLUMN_LOG_PROBABILITY * n, n);
    metrics->seconds = metrics_estimate(columns + COLUMN_SECONDS * n, n);
    for (size_t k = 0; k < DISTINCT_MAX; k++)
        metrics->distinct[k] = metrics_estimate(columns + (COLUMN_DISTINCT + k) * n, n);
    free(columns);
    free(scratch);
    return STATUS_OK;
}

static bool same_group(const struct sample *a, const struct sample *b)
{
    return a->steps == b->steps && !strcmp(a->model, b->model);
}

/* Collects the samples of the group that begins at `first`. Returns their number; 0 where an earlier sample
 * began the group. */
static size_t take_group(const struct sample_list *list, size_t first, const struct sample **group)
{
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (!same_group(&list->samples[first], &list->samples[i]))
            continue;
        if (i < first)
            return 0;
        group[n++] = &list->samples[i];
    }
    return n;
}

enum status metrics_of_list(const struct sample_list *list, struct metrics **metrics, size_t *n_metrics,
                            struct error *error)
{
    const struct sample **group = calloc(list->n + 1, sizeof *group);
    struct metrics *all = calloc(list->n + 1, sizeof *all);
    enum status status = STATUS_OK;
    size_t n_all = 0;
    if (!group || !all)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to measure %zu texts", list->n);
    for (size_t i = 0; i < list->n && status == STATUS_OK; i++) {
        size_t n = take_group(list, i, group);
        if (n > 0)
            status = metrics_of(group, n, &all[n_all++], error);
    }
    free(group);
    if (status != STATUS_OK) {
        free(all);
        return status;
    }
    *metrics = all;
    *n_metrics = n_all;
    return STATUS_OK;
}

double metrics_z(struct estimate a, struct estimate b)
{
    double error = sqrt(a.error * a.error + b.error * b.error);
    return error > 0 ? (a.mean - b.mean) / error : NAN;
}
