#ifndef MILLRACE_CLI_CONNECTION_H
#define MILLRACE_CLI_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/private_cluster.h"
#include "common/rpc/client.h"
#include "common/rpc/security_options.h"
#include "common/status.h"

#define DEFAULT_ENDPOINT "127.0.0.1:7077"

/* Rows for the option table of every command that calls a coordinator, into `settings.endpoint` and `.security`;
 * `given`: a bool *, or NULL. */
#define CONNECTION_OPTION_ROWS(settings, help, given)                                             \
    {"endpoint", 'e',  OPTION_TEXT,          "ADDRESS", "MILLRACE_ENDPOINT", DEFAULT_ENDPOINT, 0, \
     0,          help, &(settings).endpoint, given},                                              \
        SECURITY_OPTION_ROWS((settings).security)

/* A channel to a cluster, and the cluster itself when it was started for this command alone. */
struct connection {
    struct rpc_channel *channel;
    struct private_cluster cluster;
};

/* Is somebody listening at the default address? */
bool connection_default_answers(void);

/* To a running cluster; says nothing yet about whether it answers. `security` as the options were parsed
 * (CONNECTION_OPTION_ROWS). */
enum status connection_open(struct connection *connection, const char *endpoint,
                            const struct rpc_security *security, struct error *error);

/* Starts a private cluster for the model (NULL: the demonstration model), says so on standard error, and
 * connects. */
enum status connection_open_private(struct connection *connection, const char *model_directory,
                                    int64_t n_ranks, struct error *error);

/* Also ends the private cluster. A zeroed connection that was never opened is none. */
void connection_close(struct connection *connection);

#endif
