/* `millrace status`: what the cluster serves and what it is doing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/cluster/connection.h"
#include "cli/cluster/ask.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/json_output.h"
#include "cli/cluster/status_table.h"

enum { TIMEOUT_S = 5 };

struct answers {
    ProtobufCMessage *status;
    Millrace__V1__Model *model;
};

static enum status ask_both(struct rpc_channel *channel, struct answers *answers, struct error *error)
{
    Millrace__V1__StatusRequest status_request = MILLRACE__V1__STATUS_REQUEST__INIT;
    enum status status = ask(channel, "/millrace.v1.Millrace/Status", &status_request.base,
                             &millrace__v1__status_response__descriptor, TIMEOUT_S, &answers->status, error);
    if (status == STATUS_OK)
        status = ask_model(channel, NULL, TIMEOUT_S, &answers->model, error);
    return status;
}

static enum status write_json(const struct answers *answers, int indent, FILE *out, struct error *error)
{
    json_t *object = json_of_status((const Millrace__V1__StatusResponse *)answers->status);
    json_t *model = json_of_model(answers->model);
    if (object && model)
        json_object_set(object, "model", model);
    json_decref(model);
    return json_print(object, indent, out, error);
}

struct settings {
    const char *endpoint;
    struct rpc_security security;
    bool json, watch;
    double interval_seconds;
};

/* Asks once and writes the page. */
static enum status write_page(struct rpc_channel *channel, const struct settings *settings, FILE *out,
                              struct error *error)
{
    struct answers answers = {0};
    enum status status = ask_both(channel, &answers, error);
    if (status == STATUS_OK && settings->json)
        status = write_json(&answers, settings->watch ? 0 : 2, out, error);
    else if (status == STATUS_OK)
        status_table_print(settings->endpoint, (const Millrace__V1__StatusResponse *)answers.status,
                           answers.model, out);
    if (answers.status)
        protobuf_c_message_free_unpacked(answers.status, NULL);
    millrace__v1__model__free_unpacked(answers.model, NULL);
    return status;
}

static bool is_screen(const struct settings *settings)
{
    const char *terminal = getenv("TERM");
    return !settings->json && isatty(STDOUT_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

/* One look: all of it is written at once, so that no half page is seen. A cluster that does not answer now
 * may do so later. */
static enum status show_page(struct rpc_channel *channel, const struct settings *settings,
                             struct error *error)
{
    char *page = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&page, &size);
    if (!out)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the page");
    if (is_screen(settings))
        fputs("\033[H\033[J", out); /* home; clear from there */
    enum status status = write_page(channel, settings, out, error);
    if (status != STATUS_OK && status != STATUS_CANCELLED)
        command_say(settings->json ? stderr : out, "%s: %s", status_name(error->status), error->text);
    if (!is_screen(settings) && !settings->json)
        fputc('\n', out);
    fclose(out);
    fwrite(page, 1, size, stdout);
    fflush(stdout);
    free(page);
    return status == STATUS_CANCELLED ? status : STATUS_OK;
}

static enum status watch(struct rpc_channel *channel, const struct settings *settings, struct error *error)
{
    enum status status;
    if (is_screen(settings))
        fputs("\033[2J", stdout);
    do {
        status = show_page(channel, settings, error);
    } while (status == STATUS_OK && !ferror(stdout) && !interrupt_wait(settings->interval_seconds));
    return status == STATUS_CANCELLED ? STATUS_OK : status; /* Ctrl-C is how a watch ends */
}

static enum status show_status(const struct settings *settings, struct error *error)
{
    struct connection connection;
    if (settings->watch)
        interrupt_block();
    enum status status = connection_open(&connection, settings->endpoint, &settings->security, error);
    if (status != STATUS_OK)
        return status;
    status = settings->watch ? watch(connection.channel, settings, error)
                             : write_page(connection.channel, settings, stdout, error);
    connection_close(&connection);
    return status;
}

int status_main(int argc, char **argv)
{
    struct settings settings;
    const struct option_row rows[] = {
        CONNECTION_OPTION_ROWS(settings, "The coordinator of the cluster.", NULL, NULL),
        {"json", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Print one JSON object; with --watch one a line.",
         &settings.json, NULL},
        {"watch", 'w', OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Look again and again, until Ctrl-C.",
         &settings.watch, NULL},
        {"interval", 0, OPTION_REAL, "SECONDS", NULL, "1", 0.1, 3600, "With --watch: between two looks.",
         &settings.interval_seconds, NULL},
        {NULL},
    };
    const struct option_table table = {
        .program = "millrace status",
        .summary =
            "Shows what a running cluster serves, its replicas, and the requests that it has and has had.",
        .operands = "",
        .examples =
            "millrace status\nmillrace status --watch\nmillrace status --json --endpoint 10.0.0.1:7077",
        .rows = rows,
    };
    char **operands;
    int n_operands;
    struct error error;
    int code = command_options(&table, argc, argv, &operands, &n_operands);
    if (code >= 0)
        return code;
    return show_status(&settings, &error) == STATUS_OK ? EXIT_CODE_OK : command_fail(table.program, &error);
}
