#include "common/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/nearest.h"

/* Where a value came from, for the sentence about it: "--length", "-l" or "MILLRACE_LENGTH". */
struct origin {
    const char *name;
    int size;
};

static bool is_bounded(const struct option_row *row)
{
    return row->least < row->most;
}

static enum status refuse_bounds(const struct option_row *row, struct origin from, const char *text,
                                 struct error *error)
{
    int digits = row->kind == OPTION_INTEGER ? 20 : 6;
    return error_set(error, STATUS_INVALID_ARGUMENT, "%.*s is %s; it must be from %.*g to %.*g", from.size,
                     from.name, text, digits, row->least, digits, row->most);
}

static enum status assign_integer(const struct option_row *row, struct origin from, const char *text,
                                  struct error *error)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%.*s needs a whole number, not '%s'", from.size,
                         from.name, text);
    if (errno == ERANGE || (is_bounded(row) && ((double)number < row->least || (double)number > row->most)))
        return is_bounded(row) ? refuse_bounds(row, from, text, error)
                               : error_set(error, STATUS_INVALID_ARGUMENT, "%.*s is %s, which is too large",
                                           from.size, from.name, text);
    *(int64_t *)row->value = number;
    return STATUS_OK;
}

static enum status assign_real(const struct option_row *row, struct origin from, const char *text,
                               struct error *error)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number))
        return error_set(error, STATUS_INVALID_ARGUMENT, "%.*s needs a number, not '%s'", from.size,
                         from.name, text);
    if (is_bounded(row) && (number < row->least || number > row->most))
        return refuse_bounds(row, from, text, error);
    *(double *)row->value = number;
    return STATUS_OK;
}

static enum status assign_flag(const struct option_row *row, struct origin from, const char *text,
                               struct error *error)
{
    static const char *const words[][2] = {{"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        for (int truth = 0; truth < 2; truth++) {
            if (!strcmp(text, words[i][truth])) {
                *(bool *)row->value = truth;
                return STATUS_OK;
            }
        }
    }
    return error_set(error, STATUS_INVALID_ARGUMENT, "%.*s is a switch: true or false, not '%s'", from.size,
                     from.name, text);
}

static enum status assign_address(const struct option_row *row, struct origin from, const char *text,
                                  struct error *error)
{
    struct address address;
    enum address_use use = row->kind == OPTION_LISTEN ? ADDRESS_TO_LISTEN : ADDRESS_TO_CALL;
    if (address_parse(text, use, &address, error) != STATUS_OK)
        return error_prefix(error, "%.*s", from.size, from.name);
    *(const char **)row->value = text;
    return STATUS_OK;
}

static enum status assign(const struct option_row *row, struct origin from, const char *text,
                          struct error *error)
{
    switch (row->kind) {
    case OPTION_FLAG:
        return assign_flag(row, from, text, error);
    case OPTION_INTEGER:
        return assign_integer(row, from, text, error);
    case OPTION_REAL:
        return assign_real(row, from, text, error);
    case OPTION_LISTEN:
    case OPTION_ENDPOINT:
        return assign_address(row, from, text, error);
    case OPTION_TEXT:
        break;
    }
    *(const char **)row->value = text;
    return STATUS_OK;
}

static enum status assign_given(const struct option_row *row, struct origin from, const char *text,
                                struct error *error)
{
    enum status status = assign(row, from, text, error);
    if (status == STATUS_OK && row->given)
        *row->given = true;
    return status;
}

static enum status assign_typed(const struct option_row *row, struct origin from, const char *text,
                                struct error *error)
{
    enum status status = assign_given(row, from, text, error);
    if (status == STATUS_OK && row->typed)
        *row->typed = true;
    return status;
}

static void clear_value(const struct option_row *row)
{
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)row->value = false;
        break;
    case OPTION_INTEGER:
        *(int64_t *)row->value = 0;
        break;
    case OPTION_REAL:
        *(double *)row->value = NAN;
        break;
    case OPTION_TEXT:
    case OPTION_LISTEN:
    case OPTION_ENDPOINT:
        *(const char **)row->value = NULL;
        break;
    }
    if (row->given)
        *row->given = false;
    if (row->typed)
        *row->typed = false;
}

/* Defaults first, the environment over them. An empty variable counts as not set. */
static enum status assign_defaults(const struct option_table *table, struct error *error)
{
    for (const struct option_row *row = table->rows; row->name; row++) {
        clear_value(row);
        enum status status = STATUS_OK;
        if (row->fallback)
            status = assign(row, (struct origin){row->name, (int)strlen(row->name)}, row->fallback, error);
        const char *text = row->environment ? getenv(row->environment) : NULL;
        if (status == STATUS_OK && text && *text)
            status = assign_given(row, (struct origin){row->environment, (int)strlen(row->environment)}, text,
                                  error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status refuse_name(const struct option_table *table, const char *argument, size_t name_size,
                               struct error *error)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(name_size < 63 ? name_size : 63), argument + 2);
    const char *best = NULL;
    for (const struct option_row *row = table->rows; row->name; row++)
        best = nearer_name(name, best, row->name);
    if (best)
        return error_set(error, STATUS_INVALID_ARGUMENT, "unknown option --%s; did you mean --%s?", name,
                         best);
    return error_set(error, STATUS_INVALID_ARGUMENT, "unknown option --%s; `%s --help` lists them", name,
                     table->program);
}

/* The state of parsing: argv[next] is looked at next. */
struct walk {
    int argc, next;
    char **argv;
};

static enum status take_value(const struct option_row *row, struct walk *walk, struct origin from,
                              struct error *error)
{
    if (row->kind == OPTION_FLAG)
        return assign_typed(row, from, "true", error);
    if (walk->next >= walk->argc)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%.*s needs a value: %.*s %s", from.size, from.name,
                         from.size, from.name, row->value_name ? row->value_name : "VALUE");
    return assign_typed(row, from, walk->argv[walk->next++], error);
}

/* --name, --name value, --name=value */
static enum status parse_long(const struct option_table *table, struct walk *walk, struct error *error)
{
    const char *argument = walk->argv[walk->next++], *name = argument + 2;
    size_t name_size = strcspn(name, "=");
    struct origin from = {argument, (int)name_size + 2};
    for (const struct option_row *row = table->rows; row->name; row++) {
        if (strlen(row->name) != name_size || strncmp(row->name, name, name_size) != 0)
            continue;
        if (name[name_size] == '=')
            return assign_typed(row, from, name + name_size + 1, error);
        return take_value(row, walk, from, error);
    }
    return refuse_name(table, argument, name_size, error);
}

/* -x, -x value, -xvalue */
static enum status parse_letter(const struct option_table *table, struct walk *walk, struct error *error)
{
    const char *argument = walk->argv[walk->next++];
    struct origin from = {argument, 2};
    for (const struct option_row *row = table->rows; row->name; row++) {
        if (!row->letter || row->letter != argument[1])
            continue;
        if (!argument[2])
            return take_value(row, walk, from, error);
        if (row->kind != OPTION_FLAG)
            return assign_typed(row, from, argument + 2, error);
        return error_set(error, STATUS_INVALID_ARGUMENT, "-%c takes no value; write '-%c' alone, not '%s'",
                         row->letter, row->letter, argument);
    }
    return error_set(
        error, STATUS_INVALID_ARGUMENT,
        "unknown option %s; `%s --help` lists them (what begins with '-' and is no option goes after '--')",
        argument, table->program);
}

static enum status check_operands(const struct option_table *table, char **operands, int n_operands,
                                  struct error *error)
{
    if (n_operands <= table->max_operands)
        return STATUS_OK;
    const char *extra = operands[table->max_operands];
    if (table->max_operands == 0)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s takes options only, not '%s'", table->program,
                         extra);
    return error_set(error, STATUS_INVALID_ARGUMENT, "'%s' is one too many: %s %s (quote what has spaces)",
                     extra, table->program, table->operands);
}

enum status options_parse(const struct option_table *table, int argc, char **argv, bool *help,
                          char ***operands, int *n_operands, struct error *error)
{
    struct walk walk = {.argc = argc, .next = 1, .argv = argv};
    enum status status = assign_defaults(table, error);
    char **kept = argv + (argc > 0); /* operands move up over the options that were read */
    int n_kept = 0;
    bool options_ended = false;
    *help = false;
    while (status == STATUS_OK && walk.next < argc) {
        const char *argument = argv[walk.next];
        if (options_ended || argument[0] != '-' || !argument[1])
            kept[n_kept++] = argv[walk.next++];
        else if (!strcmp(argument, "--"))
            options_ended = true, walk.next++;
        else if (!strcmp(argument, "--help") || !strcmp(argument, "-h"))
            return *help = true, STATUS_OK;
        else if (argument[1] == '-')
            status = parse_long(table, &walk, error);
        else
            status = parse_letter(table, &walk, error);
    }
    if (status == STATUS_OK)
        status = check_operands(table, kept, n_kept, error);
    if (status == STATUS_OK)
        *operands = kept, *n_operands = n_kept;
    return status;
}
