#ifndef MILLRACE_CLI_CLUSTER_CONNECTION_H
#define MILLRACE_CLI_CLUSTER_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cluster/private_cluster.h"
#include "common/rpc/client.h"
#include "common/rpc/security_options.h"
#include "common/status.h"

#define DEFAULT_ENDPOINT "127.0.0.1:7077"

/* Rows for the option table of every command that calls a coordinator, into `settings.endpoint` and
 * `.security`; `given`, `typed`: as in an option_row. */
#define CONNECTION_OPTION_ROWS(settings, help, given, typed) \
    {"endpoint",                                             \
     'e',                                                    \
     OPTION_ENDPOINT,                                        \
     "ADDRESS",                                              \
     "MILLRACE_ENDPOINT",                                    \
     DEFAULT_ENDPOINT,                                       \
     0,                                                      \
     0,                                                      \
     help,                                                   \
     &(settings).endpoint,                                   \
     given,                                                  \
     typed},                                                 \
        SECURITY_OPTION_ROWS((settings).security)

/* What was typed about the cluster to call, for a command that can also start one for itself. */
struct connection_choice {
    const char *endpoint, *model_directory;
    bool endpoint_given, endpoint_typed, model_directory_given;
    struct rpc_security security;
};

/* Rows for the option table of such a command, into a struct connection_choice. After parsing:
 * connection_choice_check. */
#define CONNECTION_CHOICE_ROWS(choice, endpoint_help, model_help)                                      \
    CONNECTION_OPTION_ROWS(choice, endpoint_help, &(choice).endpoint_given, &(choice).endpoint_typed), \
    {                                                                                                  \
        "model-dir", 0, OPTION_TEXT, "DIR", NULL, NULL, 0, 0, model_help, &(choice).model_directory,   \
            &(choice).model_directory_given                                                            \
    }

/* A channel to a cluster, and the cluster itself when it was started for this command alone. */
struct connection {
    struct rpc_channel *channel;
    struct private_cluster cluster;
};

/* INVALID_ARGUMENT: --endpoint and --model-dir were both typed. */
enum status connection_choice_check(const struct connection_choice *choice, struct error *error);

/* True: the command is to call a running cluster. --model-dir says no, even where MILLRACE_ENDPOINT names a
 * cluster. Without either, the answer is whether a program listens at the default address now. */
bool connection_choice_runs(const struct connection_choice *choice);

/* Opens a connection to a running cluster. Whether it answers shows in the first call. `security` is what the
 * options of CONNECTION_OPTION_ROWS were parsed into. */
enum status connection_open(struct connection *connection, const char *endpoint,
                            const struct rpc_security *security, struct error *error);

/* Opens a connection to a running cluster, or starts a private one for `choice->model_directory` (NULL:
 * places.h) and says so on standard error. A private cluster has `n_ranks` ranks; for 0 the coordinator
 * chooses one for each core and at most 2. */
enum status connection_open_choice(struct connection *connection, const struct connection_choice *choice,
                                   int64_t n_ranks, struct error *error);

/* Closes the connection and ends the private cluster. Zeroed memory is allowed. */
void connection_close(struct connection *connection);

#endif
