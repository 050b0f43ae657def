#include "cli/cluster/connection.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/places.h"
#include "common/machine/cpus.h"
#include "common/address_socket.h"

enum { DEFAULT_ANSWERS_MS = 1000 };

/* A plain connection: before gRPC has threads, so that a cluster can still be forked. On the loopback there
 * is no waiting. */
static bool default_answers(void)
{
    struct address address;
    struct socket_address resolved;
    if (address_parse(DEFAULT_ENDPOINT, ADDRESS_TO_CALL, &address, NULL) != STATUS_OK ||
        address_resolve(&address, &resolved, NULL) != STATUS_OK)
        return false;
    int probe = address_connect(&resolved, DEFAULT_ANSWERS_MS);
    if (probe < 0)
        return false;
    close(probe);
    return true;
}

enum status connection_choice_check(const struct connection_choice *choice, struct error *error)
{
    if (choice->endpoint_typed && choice->model_directory_given)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "--endpoint names a running cluster, --model-dir does without: only one of them");
    return STATUS_OK;
}

bool connection_choice_runs(const struct connection_choice *choice)
{
    return !choice->model_directory_given && (choice->endpoint_given || default_answers());
}

enum status connection_open(struct connection *connection, const char *endpoint,
                            const struct rpc_security *given, struct error *error)
{
    struct rpc_security security = *given;
    const struct rpc_channel_options options = {.security = &security};
    security_options_complete(&security);
    *connection = (struct connection){.cluster = PRIVATE_CLUSTER_NONE};
    return rpc_channel_open(endpoint, &options, &connection->channel, error);
}

static enum status open_private(struct connection *connection, const char *model_directory, int64_t n_ranks,
                                struct error *error)
{
    char model[PATH_MAX];
    *connection = (struct connection){.cluster = PRIVATE_CLUSTER_NONE};
    if (n_ranks == 0)
        n_ranks = cpus_for_computing(cpus_here()) < 2 ? 1 : 2;
    enum status status = place_of_model(model_directory, model, error);
    if (status != STATUS_OK)
        return status;
    fprintf(stderr,
            "starting a cluster of one machine for this command (%lld rank%s); keep one running with "
            "`millrace serve`\n",
            (long long)n_ranks, n_ranks == 1 ? "" : "s");
    status = private_cluster_start(&connection->cluster, model, n_ranks, error);
    if (status == STATUS_OK)
        status = rpc_channel_open(connection->cluster.address, NULL, &connection->channel, error);
    if (status != STATUS_OK)
        connection_close(connection);
    return status;
}

enum status connection_open_choice(struct connection *connection, const struct connection_choice *choice,
                                   int64_t n_ranks, struct error *error)
{
    if (connection_choice_runs(choice))
        return connection_open(connection, choice->endpoint, &choice->security, error);
    return open_private(connection, choice->model_directory, n_ranks, error);
}

void connection_close(struct connection *connection)
{
    rpc_channel_close(connection->channel);
    private_cluster_stop(&connection->cluster);
    *connection = (struct connection){.cluster = PRIVATE_CLUSTER_NONE};
}
