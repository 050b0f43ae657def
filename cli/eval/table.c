#include "cli/eval/table.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { CELL_BYTES = 32 };

/* As wide as the longest model's name. */
static int width_of_models(const struct metrics *rows, size_t n)
{
    size_t width = strlen("model");
    for (size_t i = 0; i < n; i++)
        width = strlen(rows[i].model) > width ? strlen(rows[i].model) : width;
    return (int)width;
}

/* "83.41 ±1.20", in `width` columns; "-" for what is not known. The sign ± is one column and two bytes. */
static void print_estimate(struct estimate value, int decimals, int width, FILE *out)
{
    char text[CELL_BYTES] = "-";
    int extra = 0;
    if (isfinite(value.mean) && isfinite(value.error)) {
        snprintf(text, sizeof text, "%.*f ±%.*f", decimals, value.mean, decimals, value.error);
        extra = 1;
    } else if (isfinite(value.mean)) {
        snprintf(text, sizeof text, "%.*f", decimals, value.mean);
    }
    fprintf(out, "%*s", width + extra, text);
}

static void print_number(double value, int decimals, int width, FILE *out)
{
    char text[CELL_BYTES] = "-";
    if (isfinite(value))
        snprintf(text, sizeof text, "%.*f", decimals, value);
    fprintf(out, "%*s", width, text);
}

static void print_judgement(const struct metrics *row, int width, const char *judge, FILE *out)
{
    fprintf(out, "%-*s %6u %6zu  ", width, row->model, row->steps, row->n_texts);
    print_estimate(row->perplexity, 1, 18, out);
    print_estimate(row->corpus_perplexity, 1, 18, out);
    fprintf(out, "   %s\n", judge);
}

static void print_properties(const struct metrics *row, int width, FILE *out)
{
    const double nats_per_bit = log(2);
    fprintf(out, "%-*s %6u ", width, row->model, row->steps);
    print_estimate(row->entropy_bits, 3, 14, out);
    print_number(row->entropy_bits.mean * nats_per_bit, 3, 8, out);
    for (int i = 0; i < DISTINCT_MAX; i++)
        print_estimate(row->distinct[i], 3, 14, out);
    print_estimate(row->log_probability, 3, 16, out);
    print_estimate(row->seconds, 3, 14, out);
    print_number(row->tokens_per_second, 0, 10, out);
    fputc('\n', out);
}

void table_print(const char *title, const struct metrics *rows, size_t n, const char *judge, FILE *out)
{
    int width = width_of_models(rows, n);
    fprintf(out, "%s\n\n", title);
    if (judge) {
        fprintf(out, "%-*s %6s %6s  %18s%18s   judge\n", width, "model", "steps", "texts", "perplexity",
                "corpus perplexity");
        for (size_t i = 0; i < n; i++)
            print_judgement(&rows[i], width, judge, out);
        fputc('\n', out);
    }
    fprintf(out, "%-*s %6s %14s%8s%14s%14s%14s%16s%14s%10s\n", width, "model", "steps", "entropy, bits",
            "nats", "distinct-1", "distinct-2", "distinct-3", "self-score", "s/text", "tokens/s");
    for (size_t i = 0; i < n; i++)
        print_properties(&rows[i], width, out);
    fputc('\n', out);
}

static void print_difference(const struct metrics *row, const struct metrics *other, int width, bool judged,
                             FILE *out)
{
    fprintf(out, "%6u  %-*s", row->steps, width, other->model);
    if (judged) {
        print_number(row->perplexity.mean, 1, 11, out);
        print_number(other->perplexity.mean, 1, 9, out);
        fprintf(out, "%+9.2f%+10.2f", metrics_z(row->perplexity, other->perplexity),
                metrics_z(row->corpus_perplexity, other->corpus_perplexity));
    }
    fprintf(out, "%+10.2f", metrics_z(row->entropy_bits, other->entropy_bits));
    for (int k = 0; k < DISTINCT_MAX; k++)
        fprintf(out, "%+12.2f", metrics_z(row->distinct[k], other->distinct[k]));
    fputc('\n', out);
}

void table_print_differences(const struct metrics *rows, size_t n, const struct metrics *others,
                             size_t n_others, const char *judge, FILE *out)
{
    int width = width_of_models(others, n_others);
    fputs("how far apart, in standard errors (z)", out);
    fprintf(out, judge ? "; perplexity under %s\n\n" : "%s\n\n", judge ? judge : "");
    fprintf(out, "%6s  %-*s", "steps", width, "against");
    if (judge)
        fprintf(out, "%11s%9s%9s%10s", "perplexity", "theirs", "z", "corpus z");
    fprintf(out, "%10s%12s%12s%12s\n", "entropy", "distinct-1", "distinct-2", "distinct-3");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n_others; k++)
            if (rows[i].steps == others[k].steps)
                print_difference(&rows[i], &others[k], width, judge != NULL, out);
    fputc('\n', out);
}
