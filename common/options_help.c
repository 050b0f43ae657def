#include "common/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/*
 * One table, three forms: the page for a terminal, the manual page (roff, man-pages(7)) that packages
 * install, and the bare list of options that shells complete from.
 */

static const struct option_row help_row = {.name = "help", .letter = 'h', .help = "Print this page."};

enum { PAGE_WIDTH = 96, NAME_WIDTH_MAX = 26 };

/* "  -l, --length N" */
static int format_name(const struct option_row *row, char *out, size_t out_size)
{
    char letter[8] = "    ";
    if (row->letter)
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    const char *value = row->kind == OPTION_FLAG ? "" : row->value_name ? row->value_name : "VALUE";
    return snprintf(out, out_size, "  %s--%s%s%s", letter, row->name, *value ? " " : "", value);
}

/* Words of `text` wrapped between two columns; the cursor is at `column` already. Line breaks stay. */
static void print_wrapped(FILE *out, const char *text, int column)
{
    int at = column;
    while (*text) {
        size_t word = *text == '[' ? strcspn(text, "\n") : strcspn(text, " \n"); /* facts stay together */
        if (at > column && at + 1 + (int)word > PAGE_WIDTH) {
            fprintf(out, "\n%*s", column, "");
            at = column;
        }
        if (word)
            at += fprintf(out, "%s%.*s", at > column ? " " : "", (int)word, text);
        text += word;
        if (*text == '\n') {
            fprintf(out, "\n%*s", text[1] ? column : 0, "");
            at = column;
        }
        text += *text != '\0';
    }
    fputc('\n', out);
}

/* "[default 8, 1 to 1024, environment MILLRACE_STEPS]", or nothing */
static void format_facts(const struct option_row *row, char *out, size_t out_size)
{
    char fallback[128] = "", bounds[96] = "", environment[96] = "";
    if (row->fallback && *row->fallback)
        snprintf(fallback, sizeof fallback, "default %s", row->fallback);
    if ((row->least < row->most) && row->most < 1e15)
        snprintf(bounds, sizeof bounds, "%s%.15g to %.15g", *fallback ? ", " : "", row->least, row->most);
    else if ((row->least < row->most))
        snprintf(bounds, sizeof bounds, "%sat least %.15g", *fallback ? ", " : "", row->least);
    if (row->environment)
        snprintf(environment, sizeof environment, "%senvironment %s", *fallback || *bounds ? ", " : "",
                 row->environment);
    *out = '\0';
    if (*fallback || *bounds || *environment)
        snprintf(out, out_size, " [%s%s%s]", fallback, bounds, environment);
}

static void print_row(FILE *out, const struct option_row *row, int column)
{
    char name[96], facts[352], text[2048];
    int width = format_name(row, name, sizeof name);
    format_facts(row, facts, sizeof facts);
    snprintf(text, sizeof text, "%s%s", row->help, facts);
    fputs(name, out);
    if (width + 2 > column)
        fprintf(out, "\n%*s", column, "");
    else
        fprintf(out, "%*s", column - width, "");
    print_wrapped(out, text, column);
}

/* Every line two columns in, whether the table has indented it or not. */
static void print_examples(const char *examples, FILE *out)
{
    fputs("\nExamples:\n", out);
    for (const char *line = examples; *line;) {
        size_t size = strcspn(line, "\n");
        fprintf(out, "%s%.*s\n", *line == ' ' || size == 0 ? "" : "  ", (int)size, line);
        line += size + (line[size] == '\n');
    }
}

static void print_page(const struct option_table *table, FILE *out)
{
    int column = 0;
    for (const struct option_row *row = table->rows; row->name; row++) {
        char name[96];
        int width = format_name(row, name, sizeof name) + 2;
        if (width > column && width <= NAME_WIDTH_MAX + 2)
            column = width;
    }
    if (column < 14)
        column = 14;
    fprintf(out, "Usage: %s [options]%s%s\n\n", table->program, *table->operands ? " " : "", table->operands);
    print_wrapped(out, table->summary, 0);
    fputs("\nOptions:\n", out);
    for (const struct option_row *row = table->rows; row->name; row++)
        print_row(out, row, column);
    print_row(out, &help_row, column);
    if (table->examples)
        print_examples(table->examples, out);
}

/* Text as roff takes it: '-' is a minus sign, a line may not begin with a control character. */
static void print_roff(FILE *out, const char *text)
{
    for (bool line_begins = true; *text; text++) {
        if (line_begins && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
        line_begins = *text == '\n';
    }
}

/* "millrace generate" is called millrace-generate(1). */
static void print_man_name(FILE *out, const char *program, bool upper)
{
    for (; *program; program++) {
        char letter = *program == ' ' ? '-' : *program;
        if (letter == '-')
            fputs("\\-", out);
        else
            fputc(upper ? toupper((unsigned char)letter) : letter, out);
    }
}

static void print_man_row(FILE *out, const struct option_row *row)
{
    char facts[352];
    format_facts(row, facts, sizeof facts);
    fputs(".TP\n\\fB", out);
    if (row->letter)
        fprintf(out, "\\-%c\\fR, \\fB", row->letter);
    fputs("\\-\\-", out);
    print_roff(out, row->name);
    fputs("\\fR", out);
    if (row->kind != OPTION_FLAG)
        fprintf(out, " \\fI%s\\fR", row->value_name ? row->value_name : "VALUE");
    fputc('\n', out);
    print_roff(out, row->help);
    print_roff(out, facts);
    fputc('\n', out);
}

static void print_man(const struct option_table *table, FILE *out)
{
    fputs(".TH ", out);
    print_man_name(out, table->program, true);
    fputs(" 1 \"\" \"millrace " MILLRACE_VERSION "\" \"Millrace\"\n.SH NAME\n", out);
    print_man_name(out, table->program, false);
    fprintf(out, " \\- ");
    print_roff(out, table->summary);
    fputs("\n.SH SYNOPSIS\n.B ", out);
    print_roff(out, table->program);
    fputs("\n[\\fIoptions\\fR] ", out);
    print_roff(out, table->operands);
    fputs("\n.SH OPTIONS\n", out);
    for (const struct option_row *row = table->rows; row->name; row++)
        print_man_row(out, row);
    print_man_row(out, &help_row);
    if (table->examples) {
        fputs(".SH EXAMPLES\n.nf\n", out);
        print_roff(out, table->examples);
        fputs("\n.fi\n", out);
    }
}

static void print_words(const struct option_table *table, FILE *out)
{
    for (const struct option_row *row = table->rows; row->name; row++)
        fprintf(out, "--%s%s\n", row->name, row->kind == OPTION_FLAG ? "" : "=");
    fputs("--help\n", out);
}

void options_print_help(const struct option_table *table, FILE *out)
{
    const char *form = getenv("MILLRACE_HELP");
    if (form && !strcmp(form, "man"))
        print_man(table, out);
    else if (form && !strcmp(form, "words"))
        print_words(table, out);
    else
        print_page(table, out);
}
