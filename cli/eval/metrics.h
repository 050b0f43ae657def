#ifndef MILLRACE_CLI_EVAL_METRICS_H
#define MILLRACE_CLI_EVAL_METRICS_H

#include "cli/eval/sample.h"

/*
 * The measures of texts; docs/eval.md has the formulas. An estimate is a mean over texts and its standard
 * error. The mean is NaN where nothing is known, the error with fewer than two texts.
 */
struct estimate {
    double mean, error;
};

enum { DISTINCT_MAX = 3 };

/* Texts of one model with one number of steps. */
struct metrics {
    const char *model; /* the first sample's */
    uint32_t steps;
    size_t n_texts, n_judged;
    struct estimate perplexity;             /* exp(nll / tokens) of each text, averaged, as in the paper */
    struct estimate corpus_perplexity;      /* exp(Σ nll / Σ tokens) */
    struct estimate entropy_bits;           /* of each text's own histogram of tokens */
    struct estimate distinct[DISTINCT_MAX]; /* different n-grams over n-grams, of each text; [n - 1] */
    struct estimate log_probability;        /* the model's own opinion */
    struct estimate seconds;                /* of one text, while others are written too */
    double tokens_per_second;               /* of all texts together; NaN: not known */
};

/* −Σ p log2 p, p = count / n; 0 for no tokens. `scratch` [n_ids] is overwritten. */
double metrics_entropy_bits(const uint32_t *ids, size_t n_ids, uint32_t *scratch);

/* Different runs of n tokens over all runs of n tokens; NaN where the text is shorter than n. `scratch` as
 * above. */
double metrics_distinct(const uint32_t *ids, size_t n_ids, size_t n, uint32_t *scratch);

/* Mean and its standard error, √(s²/n), of the values that are not NaN. */
struct estimate metrics_estimate(const double *values, size_t n);

/* exp(Σ nll / Σ tokens) of the samples that were judged; the error by the delta method for a ratio of means.
 */
struct estimate metrics_corpus_perplexity(const struct sample *const *samples, size_t n);

/* Computes all measures. samples is not empty. RESOURCE_EXHAUSTED without memory. */
enum status metrics_of(const struct sample *const *samples, size_t n, struct metrics *metrics,
                       struct error *error);

/* Groups the list by model and steps, in the order in which they first appear. *metrics is malloc'ed; it
 * points into the list. */
enum status metrics_of_list(const struct sample_list *list, struct metrics **metrics, size_t *n_metrics,
                            struct error *error);

/* (a − b) / √(error_a² + error_b²): how many standard errors they are apart. NaN where it is not known. */
double metrics_z(struct estimate a, struct estimate b);

#endif
