/* Millrace.Generate: a call becomes a request of the scheduler, and the scheduler's sink becomes events of
 * the call. */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "coordinator/services/client_events.h"
#include "coordinator/services/generate_wire.h"
#include "coordinator/services/services.h"
#include "proto/millrace.pb-c.h"

/* One accepted call: what the sink needs. Lives until `ended`. */
struct client {
    struct rpc_call *call; /* referenced */
    const struct served_model *model;
};

static void client_free(struct client *client)
{
    rpc_call_unref(client->call);
    free(client);
}

static void sink_accepted(void *context, const struct run *run)
{
    struct client *client = context;
    event_send_accepted(client->call, client->model, run);
    event_send_first_frame(client->call, client->model, run);
}

static void sink_frame(void *context, const struct run *run, const uint32_t *positions, const uint32_t *ids,
                       size_t n)
{
    struct client *client = context;
    event_send_frame(client->call, client->model, run, positions, ids, n);
}

static void sink_ended(void *context, const struct run *run, const struct ending *ending)
{
    struct client *client = context;
    if (ending->status == STATUS_OK)
        event_send_finished(client->call, client->model, run, ending);
    else
        rpc_finish(client->call, ending->status, ending->text);
    request_log_ended(client->call, run, ending);
    client_free(client);
}

static const struct client_sink sink = {sink_accepted, sink_frame, sink_ended};

/*
 * What the call remembers of its request, shared with whoever still reads the message (offload.h):
 *
 *   0 → number [it is accepted] → ENDED [the call closes: cancels it]
 *   0 → ENDED  [the call closes] and who then has it accepted cancels it
 */
struct ticket {
    atomic_uint_fast64_t number;
    atomic_int n_references;
    struct trace trace;
};

#define ENDED UINT64_MAX

static void ticket_unref(struct ticket *ticket)
{
    if (ticket && atomic_fetch_sub(&ticket->n_references, 1) == 1)
        free(ticket);
}

/* Takes the request over in any case. */
static enum status accept_request(struct rpc_call *call, struct ticket *ticket,
                                  struct coordinator *coordinator, struct request *request,
                                  struct error *error)
{
    uint64_t number = 0;
    uint_fast64_t none = 0;
    struct client *client = calloc(1, sizeof *client);
    if (!client) {
        request_free(request);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
    }
    *client = (struct client){rpc_call_ref(call), coordinator->model};
    enum status status = scheduler_accept(coordinator->scheduler, request, &sink, client, &number, error);
    if (status != STATUS_OK) {
        request_free(request);
        client_free(client);
    } else if (!atomic_compare_exchange_strong(&ticket->number, &none, number)) {
        scheduler_cancel(coordinator->scheduler, number); /* the client went away meanwhile */
    }
    return status;
}

/* The caller is told our place in its trace; two headers are as good as none (W3C trace context, 3.2). */
static struct trace take_trace(struct rpc_call *call)
{
    struct trace trace;
    char header[TRACE_HEADER_SIZE];
    bool one = rpc_call_n_headers(call, "traceparent") == 1;
    trace_begin(&trace, one ? rpc_call_header(call, "traceparent") : NULL);
    trace_header(&trace, header);
    rpc_set_header(call, "traceparent", header);
    return trace;
}

/* All of the terms but the class, which the message says. */
static void set_terms(const struct rpc_call *call, const struct trace *trace, struct request_terms *terms)
{
    const struct rpc_caller *caller = rpc_call_caller(call);
    double seconds_left = rpc_call_seconds_left(call);
    snprintf(terms->caller, sizeof terms->caller, "%s", caller->name);
    terms->max_requests = caller->max_requests;
    terms->max_tokens = caller->max_tokens;
    terms->deadline_at = isfinite(seconds_left) ? clock_seconds() + seconds_left : 0;
    terms->trace = *trace;
}

static void refuse(struct rpc_call *call, struct coordinator *coordinator, const struct trace *trace,
                   const struct error *error)
{
    pthread_mutex_lock(&coordinator->refusals_lock);
    request_log_refused(&coordinator->refusals, call, trace, error);
    pthread_mutex_unlock(&coordinator->refusals_lock);
    rpc_fail(call, error);
}

/* The message as a request of this call. */
static enum status read_request(struct rpc_call *call, const ProtobufCMessage *message,
                                const struct served_model *model, const struct trace *trace,
                                struct request **request, struct error *error)
{
    struct generate_wire wire;
    enum status status = generate_wire_read((const void *)message, &wire, error);
    if (status != STATUS_OK)
        return status;
    set_terms(call, trace, &wire.options.terms);
    status = request_create(&wire.options, model, request, error);
    generate_wire_release(&wire);
    return status;
}

/* On the server's thread, or beside it; the reference to the ticket is ours. */
static void generate(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    struct coordinator *coordinator = context;
    struct ticket *ticket = rpc_call_user(call);
    struct request *request;
    struct error error;
    enum status status = read_request(call, message, coordinator->model, &ticket->trace, &request, &error);
    if (status == STATUS_OK)
        status = accept_request(call, ticket, coordinator, request, &error);
    else
        metrics_count_invalid(coordinator->metrics);
    if (status != STATUS_OK)
        refuse(call, coordinator, &ticket->trace, &error);
    ticket_unref(ticket);
}

void generate_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    struct coordinator *coordinator = context;
    struct ticket *ticket = calloc(1, sizeof *ticket);
    if (!ticket) {
        rpc_finish(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
        return;
    }
    atomic_init(&ticket->n_references, 2); /* the call's, and of whoever reads the message */
    ticket->trace = take_trace(call);
    rpc_call_set_user(call, ticket);
    struct error error;
    if (offload_call(coordinator->offload, call, message, generate, context, &error) == STATUS_OK)
        return;
    metrics_count_unread(coordinator->metrics);
    refuse(call, coordinator, &ticket->trace, &error);
    ticket_unref(ticket);
}

void generate_on_close(struct rpc_call *call, bool cancelled, void *context)
{
    struct coordinator *coordinator = context;
    struct ticket *ticket = rpc_call_user(call);
    (void)cancelled; /* a request that has ended is not found */
    if (!ticket)
        return;
    uint64_t number = atomic_exchange(&ticket->number, ENDED);
    if (number)
        scheduler_cancel(coordinator->scheduler, number);
    ticket_unref(ticket);
}
