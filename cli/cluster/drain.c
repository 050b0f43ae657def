/*
 * `millrace drain` and `millrace restart`: replicas leave, and come back, one after the other.
 *
 *   ready → [DrainReplica] → draining → gone → starting → ready  of a restart: attached for less time
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/cluster/ask.h"
#include "cli/cluster/connection.h"
#include "common/clock.h"
#include "proto/millrace.pb-c.h"

enum { CALL_TIMEOUT_S = 10, LOOK_EVERY_MS = 100 };

struct drain_settings {
    const char *endpoint;
    struct rpc_security security;
    int64_t timeout;
    bool all, no_wait, restart;
};

static enum status ask_status(struct rpc_channel *channel, Millrace__V1__StatusResponse **status,
                              struct error *error)
{
    Millrace__V1__StatusRequest request = MILLRACE__V1__STATUS_REQUEST__INIT;
    return ask(channel, "/millrace.v1.Millrace/Status", &request.base,
               &millrace__v1__status_response__descriptor, CALL_TIMEOUT_S, (ProtobufCMessage **)status,
               error);
}

static void free_status(Millrace__V1__StatusResponse *status)
{
    protobuf_c_message_free_unpacked(&status->base, NULL);
}

static enum status ask_drain(struct rpc_channel *channel, const char *name, bool restart, struct error *error)
{
    Millrace__V1__DrainReplicaRequest request = MILLRACE__V1__DRAIN_REPLICA_REQUEST__INIT;
    ProtobufCMessage *answer;
    request.replica = (char *)(uintptr_t)name;
    request.restart = restart;
    enum status status =
        ask(channel, "/millrace.v1.Millrace/DrainReplica", &request.base,
            &millrace__v1__drain_replica_response__descriptor, CALL_TIMEOUT_S, &answer, error);
    if (status != STATUS_OK)
        return status;
    const Millrace__V1__DrainReplicaResponse *response = (const void *)answer;
    if (response->forgotten)
        command_say(stderr, "%s: it was lost; not expected back any more", name);
    else
        command_say(stderr, "%s: draining, %" PRIu32 " sequences are left%s", name, response->left,
                    restart && !response->started_here ? "; whoever started it has to start it again" : "");
    protobuf_c_message_free_unpacked(answer, NULL);
    return STATUS_OK;
}

static const Millrace__V1__ReplicaStatus *find(const Millrace__V1__StatusResponse *status, const char *name)
{
    for (size_t i = 0; i < status->n_replicas; i++) {
        if (!strcmp(status->replicas[i]->name, name))
            return status->replicas[i];
    }
    return NULL;
}

/* Has it done what was asked, `seconds` ago? It may be unknown when it has gone. */
static bool is_done(const Millrace__V1__ReplicaStatus *replica, bool restart, double seconds)
{
    bool attached = replica && replica->attached_seconds > 0;
    if (!restart)
        return !attached;
    return attached && !strcmp(replica->state, "ready") && replica->attached_seconds < seconds;
}

static void pause_between_looks(void)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    nanosleep(&pause, NULL);
}

/* It came back and cannot: waiting longer changes nothing. `was_up`: it has been seen in another state since.
 */
static enum status check_failure(const Millrace__V1__ReplicaStatus *replica, bool *was_up,
                                 struct error *error)
{
    bool failed = replica && !strcmp(replica->state, "failed");
    *was_up |= replica && !failed;
    if (!failed || !*was_up)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED_PRECONDITION, "%s has failed: %s", replica->name,
                     replica->last_error);
}

static enum status wait_until_done(struct rpc_channel *channel, const char *name,
                                   const struct drain_settings *settings, double since, struct error *error)
{
    bool was_up = false;
    while (clock_seconds() - since < (double)settings->timeout) {
        Millrace__V1__StatusResponse *now;
        enum status status = ask_status(channel, &now, error);
        if (status != STATUS_OK)
            return status;
        bool done = is_done(find(now, name), settings->restart, clock_seconds() - since);
        status = settings->restart ? check_failure(find(now, name), &was_up, error) : STATUS_OK;
        free_status(now);
        if (status != STATUS_OK)
            return status;
        if (done) {
            command_say(stderr, "%s: %s after %.1f s", name, settings->restart ? "ready again" : "ended",
                        clock_seconds() - since);
            return STATUS_OK;
        }
        pause_between_looks();
    }
    return error_set(error, STATUS_DEADLINE_EXCEEDED,
                     "%s has not %s within %" PRId64 " s; see millrace status, or "
                     "allow more with --timeout",
                     name, settings->restart ? "become ready again" : "ended", settings->timeout);
}

static enum status drain_one(struct rpc_channel *channel, const char *name,
                             const struct drain_settings *settings, struct error *error)
{
    double since = clock_seconds();
    enum status status = ask_drain(channel, name, settings->restart, error);
    if (status != STATUS_OK || settings->no_wait)
        return status;
    return wait_until_done(channel, name, settings, since, error);
}

/* A replica that is only remembered, or was forgotten meanwhile, cannot be restarted. The others still are.
 */
static enum status restart_or_skip(struct rpc_channel *channel, const char *name,
                                   const struct drain_settings *settings, struct error *error)
{
    enum status status = drain_one(channel, name, settings, error);
    if (status != STATUS_NOT_FOUND)
        return status;
    command_say(stderr, "%s: left out: %s", name, error->text);
    return STATUS_OK;
}

/* Those that are known now, in their order. */
static enum status drain_all(struct rpc_channel *channel, const struct drain_settings *settings,
                             struct error *error)
{
    Millrace__V1__StatusResponse *known;
    enum status status = ask_status(channel, &known, error);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < known->n_replicas && status == STATUS_OK; i++)
        status = restart_or_skip(channel, known->replicas[i]->name, settings, error);
    free_status(known);
    return status;
}

static enum status run(const struct drain_settings *settings, const char *name, struct error *error)
{
    struct connection connection;
    enum status status = connection_open(&connection, settings->endpoint, &settings->security, error);
    if (status != STATUS_OK)
        return status;
    status = settings->all ? drain_all(connection.channel, settings, error)
                           : drain_one(connection.channel, name, settings, error);
    connection_close(&connection);
    return status;
}

static int finish(const struct option_table *table, struct drain_settings *settings, int argc, char **argv)
{
    char **operands;
    int n_operands, code = command_options(table, argc, argv, &operands, &n_operands);
    struct error error;
    if (code >= 0)
        return code;
    if (settings->all == (n_operands == 1)) {
        error_set(&error, STATUS_INVALID_ARGUMENT,
                  settings->all ? "a replica's name or --all, not both"
                                : "which replica? see millrace status");
        return command_refuse(table->program, &error);
    }
    return run(settings, n_operands ? operands[0] : NULL, &error) == STATUS_OK
               ? EXIT_CODE_OK
               : command_fail(table->program, &error);
}

int drain_main(int argc, char **argv)
{
    struct drain_settings settings = {0};
    const struct option_row rows[] = {
        CONNECTION_OPTION_ROWS(settings, "The coordinator of the cluster.", NULL, NULL),
        {"no-wait", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Do not wait until it has ended.",
         &settings.no_wait, NULL},
        {"timeout", 0, OPTION_INTEGER, "SECONDS", NULL, "300", 1, 86400, "Wait no longer than this.",
         &settings.timeout, NULL},
        {NULL},
    };
    const struct option_table table = {
        .program = "millrace drain",
        .summary =
            "A replica takes no new texts; those that it writes move to other replicas as far as they have "
            "room, "
            "and are finished there otherwise. Then it ends. No request fails. `millrace restart` brings it "
            "back. A lost replica that the coordinator did not start is forgotten.",
        .operands = "REPLICA",
        .examples = "millrace drain r0\nmillrace drain r1 --no-wait --endpoint 10.0.0.1:7077",
        .rows = rows,
        .max_operands = 1,
    };
    return finish(&table, &settings, argc, argv);
}

int restart_main(int argc, char **argv)
{
    struct drain_settings settings = {.restart = true};
    const struct option_row rows[] = {
        CONNECTION_OPTION_ROWS(settings, "The coordinator of the cluster.", NULL, NULL),
        {"all", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Every replica, one after the other.", &settings.all,
         NULL},
        {"timeout", 0, OPTION_INTEGER, "SECONDS", NULL, "300", 1, 86400,
         "How long one replica may take until it is ready again.", &settings.timeout, NULL},
        {NULL},
    };
    const struct option_table table = {
        .program = "millrace restart",
        .summary = "Drains a replica, has it started again and waits until it is ready. A new program is "
                   "taken up by all "
                   "replicas in turn with --all, while the others go on; no request fails. The model stays "
                   "the one that "
                   "the coordinator has read at its start: a new one takes a new coordinator, and where the "
                   "directory "
                   "holds another one by now, restart refuses and drains nothing. Replicas that were not "
                   "started by the "
                   "coordinator have to be started again by whoever did.",
        .operands = "[REPLICA]",
        .examples = "millrace restart r0\nmillrace restart --all",
        .rows = rows,
        .max_operands = 1,
    };
    return finish(&table, &settings, argc, argv);
}
