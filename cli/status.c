/* `millrace status`: what the cluster serves and what it is doing. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/status_table.h"

enum { TIMEOUT_S = 5 };

struct answers {
    ProtobufCMessage *status, *model;
};

static enum status ask(struct rpc_channel *channel, struct answers *answers, struct error *error)
{
    Millrace__V1__StatusRequest status_request = MILLRACE__V1__STATUS_REQUEST__INIT;
    Millrace__V1__GetModelRequest model_request = MILLRACE__V1__GET_MODEL_REQUEST__INIT;
    enum status status =
        rpc_unary(channel, "/millrace.v1.Millrace/Status", &status_request.base,
                  &millrace__v1__status_response__descriptor, TIMEOUT_S, &answers->status, error);
    if (status == STATUS_OK)
        status = rpc_unary(channel, "/millrace.v1.Millrace/GetModel", &model_request.base,
                           &millrace__v1__model__descriptor, TIMEOUT_S, &answers->model, error);
    return status;
}

static enum status print_json(const struct answers *answers, struct error *error)
{
    json_t *object = json_of_status((const Millrace__V1__StatusResponse *)answers->status);
    json_t *model = json_of_model((const Millrace__V1__Model *)answers->model);
    if (object && model)
        json_object_set(object, "model", model);
    json_decref(model);
    return json_print(object, 2, stdout, error);
}

static enum status show_status(const char *endpoint, const struct rpc_security *security, bool json,
                               struct error *error)
{
    struct connection connection;
    struct answers answers = {0};
    enum status status = connection_open(&connection, endpoint, security, error);
    if (status != STATUS_OK)
        return status;
    status = ask(connection.channel, &answers, error);
    if (status == STATUS_OK && json)
        status = print_json(&answers, error);
    else if (status == STATUS_OK)
        status_table_print(endpoint, (const Millrace__V1__StatusResponse *)answers.status,
                           (const Millrace__V1__Model *)answers.model, stdout);
    if (answers.status)
        protobuf_c_message_free_unpacked(answers.status, NULL);
    if (answers.model)
        protobuf_c_message_free_unpacked(answers.model, NULL);
    connection_close(&connection);
    return status;
}

int status_main(int argc, char **argv)
{
    const char *endpoint;
    struct rpc_security security;
    bool json;
    const struct option_row rows[] = {
        {"endpoint", 'e', OPTION_TEXT, "ADDRESS", "MILLRACE_ENDPOINT", DEFAULT_ENDPOINT, 0, 0,
         "The coordinator of the cluster.", &endpoint, NULL},
        SECURITY_OPTION_ROWS(security),
        {"json", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Print one JSON object.", &json, NULL},
        {NULL},
    };
    const struct option_table table = {
        .program = "millrace status",
        .summary =
            "Shows what a running cluster serves, its replicas, and the requests that it has and has had.",
        .operands = "",
        .examples = "millrace status\nmillrace status --json --endpoint 10.0.0.1:7077",
        .rows = rows,
    };
    char **operands;
    int n_operands;
    struct error error;
    int code = command_options(&table, argc, argv, &operands, &n_operands);
    if (code >= 0)
        return code;
    return show_status(endpoint, &security, json, &error) == STATUS_OK ? EXIT_CODE_OK
                                                                       : command_fail(table.program, &error);
}
