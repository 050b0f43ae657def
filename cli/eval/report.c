#include "cli/eval/report.h"

#include <math.h>

static json_t *json_of_number(double number)
{
    return isfinite(number) ? json_real(number) : json_null();
}

static json_t *json_of_estimate(struct estimate estimate)
{
    return json_pack("{s:o, s:o}", "mean", json_of_number(estimate.mean), "error",
                     json_of_number(estimate.error));
}

static struct estimate scaled(struct estimate estimate, double factor)
{
    return (struct estimate){factor * estimate.mean, factor * estimate.error};
}

static json_t *json_of_row(const struct metrics *row, const char *judge)
{
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "model", row->model,
        "steps", (json_int_t)row->steps, "texts", (json_int_t)row->n_texts, "judged",
        (json_int_t)row->n_judged, "judge", judge, "perplexity", json_of_estimate(row->perplexity),
        "corpus_perplexity", json_of_estimate(row->corpus_perplexity), "entropy_bits",
        json_of_estimate(row->entropy_bits), "entropy_nats",
        json_of_estimate(scaled(row->entropy_bits, log(2))), "distinct_1", json_of_estimate(row->distinct[0]),
        "distinct_2", json_of_estimate(row->distinct[1]), "distinct_3", json_of_estimate(row->distinct[2]),
        "mean_log_probability", json_of_estimate(row->log_probability), "seconds_per_text",
        json_of_estimate(row->seconds), "tokens_per_second", json_of_number(row->tokens_per_second));
}

json_t *report_rows(const struct metrics *rows, size_t n, const char *judge)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        json_array_append_new(list, json_of_row(&rows[i], judge));
    return list;
}

static json_t *json_of_difference(const struct metrics *row, const struct metrics *other, const char *judge)
{
    json_t *z = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "perplexity",
                          json_of_number(metrics_z(row->perplexity, other->perplexity)), "corpus_perplexity",
                          json_of_number(metrics_z(row->corpus_perplexity, other->corpus_perplexity)),
                          "entropy_bits", json_of_number(metrics_z(row->entropy_bits, other->entropy_bits)),
                          "distinct_1", json_of_number(metrics_z(row->distinct[0], other->distinct[0])),
                          "distinct_2", json_of_number(metrics_z(row->distinct[1], other->distinct[1])),
                          "distinct_3", json_of_number(metrics_z(row->distinct[2], other->distinct[2])));
    return json_pack("{s:I, s:s, s:s, s:s?, s:o}", "steps", (json_int_t)row->steps, "model", row->model,
                     "against", other->model, "judge", judge, "z", z);
}

json_t *report_differences(const struct metrics *rows, size_t n, const struct metrics *others,
                           size_t n_others, const char *judge)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        for (size_t k = 0; k < n_others; k++)
            if (rows[i].steps == others[k].steps)
                json_array_append_new(list, json_of_difference(&rows[i], &others[k], judge));
    return list;
}
