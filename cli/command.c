#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

void command_say(FILE *out, const char *format, ...)
{
    char text[4096];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    for (char *line = text, *end; line; line = end ? end + 1 : NULL) {
        end = strchr(line, '\n');
        if (end)
            *end = '\0';
        utf8_make_printable(line);
        fprintf(out, "%s\n", line);
    }
}

int command_refuse(const char *program, const struct error *error)
{
    fprintf(stderr, "%s: ", program);
    command_say(stderr, "%s", error->text);
    return EXIT_CODE_USAGE;
}

int command_options(const struct option_table *table, int argc, char **argv, char ***operands,
                    int *n_operands)
{
    bool help = false;
    struct error error;
    if (options_parse(table, argc, argv, &help, operands, n_operands, &error) != STATUS_OK)
        return command_refuse(table->program, &error);
    if (!help)
        return -1;
    options_print_help(table, stdout);
    return EXIT_CODE_OK;
}

/* What the user can do next, for failures with a usual remedy. NULL for the others: their sentence says it.
 */
static const char *remedy(const struct error *error)
{
    switch (error->status) {
    case STATUS_UNAVAILABLE:
        return "is a cluster running there? `millrace serve` starts one; where no endpoint is named, "
               "`millrace generate` starts one for itself";
    case STATUS_RESOURCE_EXHAUSTED:
        if (strstr(error->text, "larger than max"))
            return "the text is longer than the cluster takes in one request; waiting changes nothing";
        if (strstr(error->text, "no memory"))
            return NULL;
        return "it may work in a moment; `millrace status` shows how busy the cluster is";
    case STATUS_DEADLINE_EXCEEDED:
        return "give it more time; `millrace status` shows what the cluster is doing";
    case STATUS_UNAUTHENTICATED:
        return "show a token (--token-file FILE, or MILLRACE_TOKEN in the environment) or a certificate "
               "(--tls-cert, "
               "--tls-key)";
    case STATUS_PERMISSION_DENIED:
        return "the file of tokens of the coordinator says what this caller may do";
    case STATUS_UNIMPLEMENTED:
        return "what answers there is no Millrace coordinator, or one of another version";
    default:
        return NULL;
    }
}

int command_fail(const char *program, const struct error *error)
{
    if (error->status == STATUS_CANCELLED) {
        fprintf(stderr, "%s: interrupted\n", program);
        return EXIT_CODE_INTERRUPTED;
    }
    fprintf(stderr, "%s: %s: ", program, status_name(error->status));
    command_say(stderr, "%s", error->text);
    if (error->retry_after_ms > 0)
        fprintf(stderr, "  the cluster says: try again in %.1f s\n", error->retry_after_ms / 1000.0);
    else if (remedy(error) && !strstr(error->text, "TLS")) /* that sentence says what to do */
        fprintf(stderr, "  %s\n", remedy(error));
    return EXIT_CODE_FAILED;
}
