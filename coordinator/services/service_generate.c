/* Millrace.Generate: a call becomes a request of the scheduler, and what the sink of the request hears
 * becomes events of the call. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "coordinator/services/call_terms.h"
#include "coordinator/services/client_events.h"
#include "coordinator/services/generate_wire.h"
#include "coordinator/services/services.h"

/*
 * One call and its request. Three may hold it: the call until it closes, whoever reads the message (perhaps
 * on another thread, offload.h), and from acceptance on the sink until the request has ended. `number` says
 * how far the first two have come:
 *
 *   0 → number [the request is accepted] → CLOSED [the call closes, which cancels the request]
 *   0 → CLOSED [the call closes]                  the reader cancels the request as soon as it is accepted
 */
struct generation {
    struct coordinator *coordinator;
    struct rpc_call *call; /* referenced */
    struct trace trace;
    atomic_uint_fast64_t number;
    atomic_int n_references;
    char id[REQUEST_ID_SIZE]; /* the sink's */
};

#define CLOSED UINT64_MAX

static void generation_unref(struct generation *generation)
{
    if (!generation || atomic_fetch_sub(&generation->n_references, 1) > 1)
        return;
    rpc_call_unref(generation->call);
    free(generation);
}

static struct line_subject subject_of(const struct generation *generation)
{
    return (struct line_subject){generation->id, rpc_call_caller(generation->call)->name, &generation->trace};
}

/* ---- what the request tells ---- */

static void sink_accepted(void *context, const struct request_accepted *accepted)
{
    struct generation *generation = context;
    snprintf(generation->id, sizeof generation->id, "%s", accepted->id);
    const struct line_subject subject = subject_of(generation);
    request_lines_accepted(&subject, accepted);
    client_send_accepted(generation->call, generation->coordinator->model, accepted);
}

static void sink_frame(void *context, const struct request_frame *frame)
{
    const struct generation *generation = context;
    client_send_frame(generation->call, generation->coordinator->model, frame);
}

static void sink_moved(void *context, const struct request_moved *moved)
{
    const struct line_subject subject = subject_of(context);
    request_lines_moved(&subject, moved);
}

static void sink_ended(void *context, const struct request_ended *ended)
{
    struct generation *generation = context;
    const struct line_subject subject = subject_of(generation);
    client_send_end(generation->call, generation->coordinator->model, ended);
    request_lines_ended(&subject, ended);
    generation_unref(generation);
}

static const struct request_sink sink = {sink_accepted, sink_frame, sink_moved, sink_ended};

/* ---- how a call becomes a request ---- */

static enum status read_request(const struct generation *generation, const ProtobufCMessage *message,
                                struct request **request, struct error *error)
{
    struct generate_wire wire;
    enum status status = generate_wire_read((const void *)message, &wire, error);
    if (status != STATUS_OK)
        return status;
    call_set_terms(generation->call, &generation->trace, &wire.options.terms);
    status = request_create(&wire.options, generation->coordinator->model, request, error);
    generate_wire_release(&wire);
    return status;
}

/* Takes the request over in any case. */
static enum status accept_request(struct generation *generation, struct request *request, struct error *error)
{
    struct scheduler *scheduler = generation->coordinator->scheduler;
    uint64_t number = 0;
    uint_fast64_t none = 0;
    atomic_fetch_add(&generation->n_references, 1); /* the sink's */
    enum status status = scheduler_accept(scheduler, request, &sink, generation, &number, error);
    if (status != STATUS_OK) {
        request_free(request);
        generation_unref(generation);
    } else if (!atomic_compare_exchange_strong(&generation->number, &none, number)) {
        scheduler_cancel(scheduler, number); /* the client went away meanwhile */
    }
    return status;
}

static void refuse(const struct generation *generation, const struct error *error)
{
    call_log_refusal(generation->coordinator, generation->call, &generation->trace, error);
    rpc_fail(generation->call, error);
}

/* On the server's thread, or beside it; the reader's reference is ours. */
static void generate(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    const struct coordinator *coordinator = context;
    struct generation *generation = rpc_call_user(call);
    struct request *request;
    struct error error;
    enum status status = read_request(generation, message, &request, &error);
    if (status == STATUS_OK)
        status = accept_request(generation, request, &error);
    else
        metrics_count_invalid(coordinator->metrics);
    if (status != STATUS_OK)
        refuse(generation, &error);
    generation_unref(generation);
}

void generate_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    struct coordinator *coordinator = context;
    struct generation *generation = calloc(1, sizeof *generation);
    if (!generation) {
        rpc_finish(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
        return;
    }
    generation->coordinator = coordinator;
    generation->call = rpc_call_ref(call);
    generation->trace = call_take_trace(call);
    atomic_init(&generation->n_references, 2); /* the call's, and of whoever reads the message */
    rpc_call_set_user(call, generation);
    struct error error;
    if (offload_call(coordinator->offload, call, message, generate, context, &error) == STATUS_OK)
        return;
    metrics_count_unread(coordinator->metrics);
    refuse(generation, &error);
    generation_unref(generation);
}

void generate_on_close(struct rpc_call *call, bool cancelled, void *context)
{
    struct coordinator *coordinator = context;
    struct generation *generation = rpc_call_user(call);
    (void)cancelled; /* a request that has ended is not found */
    if (!generation)
        return;
    uint64_t number = atomic_exchange(&generation->number, CLOSED);
    if (number)
        scheduler_cancel(coordinator->scheduler, number);
    generation_unref(generation);
}
