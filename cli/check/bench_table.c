#include "cli/check/bench_table.h"

#include <string.h>

static double number_at(json_t *row, const char *key)
{
    return json_number_value(json_object_get(row, key));
}

/* "62%", or "-" where the time could not be split; into text[16]. */
static const char *share_of(json_t *row, const char *part, char text[16])
{
    json_t *share = json_object_get(json_object_get(row, "share"), part);
    snprintf(text, 16, "-");
    if (share)
        snprintf(text, 16, "%.0f%%", 100 * json_number_value(share));
    return text;
}

static const char *text_at(json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text ? text : "";
}

static void print_row(json_t *row, double first_seconds, FILE *out)
{
    char share[5][16];
    double seconds = number_at(row, "seconds");
    fprintf(out, "%5.0f %7.0f %8.3f %8.0f %5.2fx | %6s %9s %5s %13s %5s | ", number_at(row, "ranks"),
            number_at(row, "threads"), seconds, number_at(row, "tokens_per_second"),
            seconds > 0 ? first_seconds / seconds : 0, share_of(row, "matmul", share[0]),
            share_of(row, "attention", share[1]), share_of(row, "head", share[2]),
            share_of(row, "communication", share[3]), share_of(row, "other", share[4]));
    fprintf(out, "%7.1f %7.1f %4.0f%% | %5.0f\n", number_at(row, "gflops"), number_at(row, "ceiling_gflops"),
            100 * number_at(row, "fraction_of_ceiling"), number_at(row, "peak_memory_mib"));
}

/* The same model, seed and text must come out whatever the number of ranks. */
static void print_agreement(json_t *rows, FILE *out)
{
    const char *first = text_at(json_array_get(rows, 0), "checksum");
    size_t index;
    json_t *row;
    json_array_foreach(rows, index, row)
    {
        if (strcmp(text_at(row, "checksum"), first) != 0) {
            fputs("\nthe texts DIFFER between the runs: this must not be\n", out);
            return;
        }
    }
    if (json_array_size(rows) > 1 && *first)
        fprintf(out, "\nthe same text from every run (checksum %s)\n", first);
}

void bench_table_print(json_t *rows, FILE *out)
{
    json_t *first = json_array_get(rows, 0), *row;
    size_t index;
    fprintf(out, "%s: one text of %.0f tokens in %.0f steps\n\n", text_at(first, "model"),
            number_at(first, "length"), number_at(first, "steps"));
    fputs("                                       |             share of the time              "
          "|        GFLOP/s        |\n"
          "ranks threads  seconds tokens/s  speed | matmul attention  head communication other "
          "|    done ceiling  used |   MiB\n",
          out);
    json_array_foreach(rows, index, row) print_row(row, number_at(first, "seconds"), out);
    print_agreement(rows, out);
}
