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

/* Which cluster a command calls that can also do without one, as it was given. */
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

/* Is a running cluster to be called? --model-dir says no, also where MILLRACE_ENDPOINT names one; without
 * either, it is one that listens at the default address now. */
bool connection_choice_runs(const struct connection_choice *choice);

/* To a running cluster; says nothing yet about whether it answers. `security` as the options were parsed
 * (CONNECTION_OPTION_ROWS). */
enum status connection_open(struct connection *connection, const char *endpoint,
                            const struct rpc_security *security, struct error *error);

/* To a running cluster, or to a private one that is started for `choice->model_directory` (NULL: places.h)
 * and said so on standard error; of `n_ranks`, or for 0 of one for each core and at most 2, as the
 * coordinator chooses. */
enum status connection_open_choice(struct connection *connection, const struct connection_choice *choice,
                                   int64_t n_ranks, struct error *error);

/* Also ends the private cluster. A zeroed connection that was never opened is none. */
void connection_close(struct connection *connection);

#endif
