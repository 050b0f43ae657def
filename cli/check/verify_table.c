#include "cli/check/verify_table.h"

#include <stdbool.h>
#include <string.h>

static const char *text_of(const json_t *finding, const char *key)
{
    const char *text = json_string_value(json_object_get(finding, key));
    return text ? text : "";
}

static bool is_ok(const json_t *finding)
{
    return json_is_true(json_object_get(finding, "ok"));
}

struct verify_totals verify_totals_of(const json_t *findings)
{
    struct verify_totals totals = {0};
    const char *before = "";
    size_t i;
    json_t *finding;
    json_array_foreach(findings, i, finding)
    {
        const char *file = text_of(finding, "file");
        totals.n_files += strcmp(file, before) != 0; /* the findings of a file follow each other */
        totals.n_checks++;
        totals.n_failed += !is_ok(finding);
        before = file;
    }
    return totals;
}

static int width_of(const json_t *findings, const char *key)
{
    size_t i, width = 0;
    json_t *finding;
    json_array_foreach(findings, i, finding)
    {
        size_t length = strlen(text_of(finding, key));
        width = length > width ? length : width;
    }
    return (int)width;
}

/* "4.3e-06 (at most 2e-05)"; "exact" for what has no tolerance and needs none. */
static void print_value(const json_t *finding, FILE *out)
{
    const json_t *value = json_object_get(finding, "value");
    double limit = json_number_value(json_object_get(finding, "limit"));
    char number[32] = "no number";
    if (json_is_number(value))
        snprintf(number, sizeof number, "%.2g", json_number_value(value));
    if (limit == 0 && is_ok(finding))
        fprintf(out, "%9s", "exact");
    else
        fprintf(out, "%9s (%s %g)", number,
                json_is_true(json_object_get(finding, "at_least")) ? "at least" : "at most", limit);
}

static void print_finding(const json_t *finding, int file_width, int check_width, FILE *out)
{
    fprintf(out, "%-6s %-*s  ", is_ok(finding) ? "ok" : "FAILED", file_width, text_of(finding, "file"));
    const char *note = text_of(finding, "note"), *check = text_of(finding, "check");
    if (*check) {
        fprintf(out, "%-*s  %4d %-9s  ", check_width, check,
                (int)json_integer_value(json_object_get(finding, "count")), text_of(finding, "unit"));
        print_value(finding, out);
    }
    fprintf(out, "%s%s\n", *check && *note ? "  " : "", note);
}

void verify_table_print(const json_t *findings, FILE *out)
{
    int file_width = width_of(findings, "file"), check_width = width_of(findings, "check");
    size_t i;
    json_t *finding;
    json_array_foreach(findings, i, finding) print_finding(finding, file_width, check_width, out);
}

void verify_totals_print(struct verify_totals totals, FILE *out)
{
    fprintf(out, "%d files, %d checks, ", totals.n_files, totals.n_checks);
    if (totals.n_failed)
        fprintf(out, "%d FAILED\n", totals.n_failed);
    else
        fputs("all ok\n", out);
}
