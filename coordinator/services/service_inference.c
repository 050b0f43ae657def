/*
 * inference.GRPCInferenceService, the Open Inference Protocol: the same requests as Millrace.Generate, in the
 * messages that Triton's and KServe's clients have.
 *
 * A ModelInfer call has one inference, a ModelStreamInfer call any number at a time. Each inference is one
 * request of the scheduler. Three may hold one: the call's list, whoever reads the message (perhaps on
 * another thread, offload.h), and from acceptance on the sink until the request has ended.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "coordinator/services/call_terms.h"
#include "coordinator/services/infer_wire.h"

/* A call and what it has open. */
struct infer_call {
    struct coordinator *coordinator;
    struct rpc_call *call; /* referenced */
    struct trace trace;
    bool streams;
    atomic_int n_references;

    pthread_mutex_t lock; /* guards what follows, and `number` of each inference */
    struct inference *first;
    bool said_all, closed;
};

struct inference {
    struct infer_call *owner; /* referenced */
    struct inference *next;
    uint64_t number; /* the scheduler's; 0: not accepted yet, or cancelled */
    atomic_int n_references;

    char *client_id; /* by which the client knows it */
    bool frames;
    struct infer_answer answer; /* the sink's, from `accepted` on */
    char id[REQUEST_ID_SIZE];
    int32_t *ids; /* [length], with frames: the present state */
    uint32_t *changed_step;
};

/* ---- life ---- */

static void infer_call_unref(struct infer_call *infer)
{
    if (atomic_fetch_sub(&infer->n_references, 1) > 1)
        return;
    rpc_call_unref(infer->call);
    pthread_mutex_destroy(&infer->lock);
    free(infer);
}

static struct infer_call *infer_call_create(struct coordinator *coordinator, struct rpc_call *call,
                                            bool streams)
{
    struct infer_call *infer = calloc(1, sizeof *infer);
    if (!infer)
        return NULL;
    infer->coordinator = coordinator;
    infer->call = rpc_call_ref(call);
    infer->trace = call_take_trace(call);
    infer->streams = streams;
    infer->said_all = !streams;
    atomic_init(&infer->n_references, 1);
    pthread_mutex_init(&infer->lock, NULL);
    rpc_call_set_user(call, infer);
    return infer;
}

static void inference_unref(struct inference *inference)
{
    if (atomic_fetch_sub(&inference->n_references, 1) > 1)
        return;
    infer_call_unref(inference->owner);
    free(inference->client_id);
    free(inference->ids);
    free(inference->changed_step);
    free(inference);
}

/* On the list of its call, which holds one reference; the caller holds the other. NULL: no memory. */
static struct inference *inference_open(struct infer_call *owner, const char *client_id)
{
    struct inference *inference = calloc(1, sizeof *inference);
    char *copy = strdup(client_id);
    if (!inference || !copy) {
        free(inference);
        free(copy);
        return NULL;
    }
    inference->client_id = copy;
    inference->owner = owner;
    atomic_fetch_add(&owner->n_references, 1);
    atomic_init(&inference->n_references, 2);
    pthread_mutex_lock(&owner->lock);
    inference->next = owner->first;
    owner->first = inference;
    pthread_mutex_unlock(&owner->lock);
    return inference;
}

/* Takes it off the list of its call, which ends the call if it was the last. */
static void inference_close(struct inference *inference)
{
    struct infer_call *owner = inference->owner;
    pthread_mutex_lock(&owner->lock);
    struct inference **link = &owner->first;
    while (*link != inference)
        link = &(*link)->next;
    *link = inference->next;
    bool is_last = owner->streams && owner->said_all && !owner->first;
    pthread_mutex_unlock(&owner->lock);
    if (is_last)
        rpc_finish(owner->call, STATUS_OK, NULL);
    inference_unref(inference);
}

/* ---- to the client ---- */

static void send_streamed(void *call, const Inference__ModelInferResponse *message)
{
    Inference__ModelStreamInferResponse response = INFERENCE__MODEL_STREAM_INFER_RESPONSE__INIT;
    response.infer_response = (Inference__ModelInferResponse *)message;
    rpc_send(call, &response.base);
}

static void send_alone(void *call, const Inference__ModelInferResponse *message)
{
    rpc_reply(call, &message->base);
}

/* A stream goes on after an error of one inference: the error is a message of its own. */
static void send_error(struct infer_call *infer, const char *client_id, const struct error *error)
{
    if (!infer->streams) {
        rpc_fail(infer->call, error);
        return;
    }
    Inference__ModelInferResponse about = INFERENCE__MODEL_INFER_RESPONSE__INIT;
    Inference__ModelStreamInferResponse response = INFERENCE__MODEL_STREAM_INFER_RESPONSE__INIT;
    char text[sizeof error->text + 64];
    snprintf(text, sizeof text, "%s: %s", status_name(error->status), error->text);
    about.id = (char *)client_id;
    about.model_name = (char *)infer->coordinator->model->config.name;
    response.error_message = text;
    response.infer_response = &about;
    rpc_send(infer->call, &response.base);
}

static void send_answer(struct inference *inference)
{
    struct infer_call *owner = inference->owner;
    struct error error;
    if (infer_wire_answer(owner->coordinator->model, &inference->answer,
                          owner->streams ? send_streamed : send_alone, owner->call, &error) != STATUS_OK)
        send_error(owner, inference->client_id, &error);
}

/* ---- what the request tells ---- */

static struct line_subject subject_of(const struct inference *inference)
{
    const struct infer_call *owner = inference->owner;
    return (struct line_subject){inference->id, rpc_call_caller(owner->call)->name, &owner->trace};
}

static void sink_accepted(void *context, const struct request_accepted *accepted)
{
    struct inference *inference = context;
    snprintf(inference->id, sizeof inference->id, "%s", accepted->id);
    inference->answer.id = inference->client_id;
    inference->answer.request = inference->id;
    inference->answer.length = accepted->length;
    inference->answer.seed = accepted->seed;
    if (inference->frames) {
        inference->ids = calloc((size_t)accepted->length, sizeof *inference->ids);
        inference->changed_step = calloc((size_t)accepted->length, sizeof *inference->changed_step);
    }
    const struct line_subject subject = subject_of(inference);
    request_lines_accepted(&subject, accepted);
}

/* The last frame is told with the end. */
static void sink_frame(void *context, const struct request_frame *frame)
{
    struct inference *inference = context;
    if (!inference->ids || !inference->changed_step || frame->step == frame->steps)
        return;
    for (size_t i = 0; i < frame->n; i++) {
        inference->ids[frame->positions[i]] = (int32_t)frame->ids[i];
        inference->changed_step[frame->positions[i]] = frame->step;
    }
    inference->answer.ids = inference->ids;
    inference->answer.changed_step = inference->changed_step;
    inference->answer.step = frame->step;
    inference->answer.steps = frame->steps;
    send_answer(inference);
}

static void sink_moved(void *context, const struct request_moved *moved)
{
    const struct line_subject subject = subject_of(context);
    request_lines_moved(&subject, moved);
}

static void send_end(struct inference *inference, const struct request_ended *ended)
{
    if (ended->status != STATUS_OK) {
        struct error error;
        error_set(&error, ended->status, "%s", ended->text);
        send_error(inference->owner, inference->client_id, &error);
        return;
    }
    inference->answer.ids = ended->ids;
    inference->answer.changed_step = ended->changed_step;
    inference->answer.step = ended->step;
    inference->answer.steps = ended->steps;
    inference->answer.final = true;
    send_answer(inference);
}

static void sink_ended(void *context, const struct request_ended *ended)
{
    struct inference *inference = context;
    const struct line_subject subject = subject_of(inference);
    request_lines_ended(&subject, ended);
    send_end(inference, ended);
    inference_close(inference);
    inference_unref(inference); /* the sink's reference */
}

static const struct request_sink sink = {sink_accepted, sink_frame, sink_moved, sink_ended};

/* ---- how a message becomes a request ---- */

static void limit_deadline(struct request_terms *terms, double timeout_seconds)
{
    double until = clock_seconds() + timeout_seconds;
    if (isfinite(until) && (terms->deadline_at <= 0 || until < terms->deadline_at))
        terms->deadline_at = until;
}

static enum status read_request(struct inference *inference, const Inference__ModelInferRequest *message,
                                struct request **request, struct error *error)
{
    const struct infer_call *owner = inference->owner;
    struct infer_wire wire;
    enum status status = infer_wire_outputs(message, &inference->answer.outputs, error);
    if (status == STATUS_OK)
        status = infer_wire_read(message, &wire, error);
    if (status != STATUS_OK)
        return status;
    inference->frames = wire.frames;
    call_set_terms(owner->call, &owner->trace, &wire.options.terms);
    limit_deadline(&wire.options.terms, wire.timeout_seconds);
    if (wire.frames && !owner->streams)
        status = error_set(error, STATUS_INVALID_ARGUMENT,
                           "parameters.frames: only ModelStreamInfer tells frames");
    else
        status = request_create(&wire.options, owner->coordinator->model, request, error);
    infer_wire_release(&wire);
    return status;
}

/* Leaves the number for whoever closes the call; where it is closed already nobody will come for it. */
static void keep_number(struct inference *inference, uint64_t number)
{
    struct infer_call *owner = inference->owner;
    pthread_mutex_lock(&owner->lock);
    bool closed = owner->closed;
    inference->number = closed ? 0 : number;
    pthread_mutex_unlock(&owner->lock);
    if (closed)
        scheduler_cancel(owner->coordinator->scheduler, number);
}

/* Takes the request over in any case. */
static enum status accept_request(struct inference *inference, struct request *request, struct error *error)
{
    uint64_t number = 0;
    atomic_fetch_add(&inference->n_references, 1); /* the sink's */
    enum status status =
        scheduler_accept(inference->owner->coordinator->scheduler, request, &sink, inference, &number, error);
    if (status != STATUS_OK) {
        request_free(request);
        inference_unref(inference);
        return status;
    }
    keep_number(inference, number);
    return STATUS_OK;
}

static void refuse(struct infer_call *infer, const char *client_id, const struct error *error)
{
    call_log_refusal(infer->coordinator, infer->call, &infer->trace, error);
    send_error(infer, client_id, error);
}

/* On the server's thread, or beside it; the reference to the inference is ours. */
static void infer(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    struct inference *inference = context;
    struct infer_call *owner = inference->owner;
    struct request *request;
    struct error error;
    (void)call;
    enum status status = read_request(inference, (const void *)message, &request, &error);
    if (status == STATUS_OK)
        status = accept_request(inference, request, &error);
    else
        metrics_count_invalid(owner->coordinator->metrics);
    if (status != STATUS_OK) {
        refuse(owner, inference->client_id, &error);
        inference_close(inference);
    }
    inference_unref(inference);
}

static void start(struct infer_call *owner, const Inference__ModelInferRequest *message)
{
    struct inference *inference = inference_open(owner, message->id);
    struct error error;
    if (!inference) {
        error_set(&error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
        refuse(owner, message->id, &error);
        return;
    }
    if (offload_call(owner->coordinator->offload, owner->call, &message->base, infer, inference, &error) ==
        STATUS_OK)
        return;
    metrics_count_unread(owner->coordinator->metrics);
    refuse(owner, message->id, &error);
    inference_close(inference);
    inference_unref(inference);
}

/* ---- ModelInfer and ModelStreamInfer ---- */

static struct infer_call *open_call(struct rpc_call *call, struct coordinator *coordinator, bool streams)
{
    struct infer_call *infer = infer_call_create(coordinator, call, streams);
    if (!infer)
        rpc_finish(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the call; try again later");
    return infer;
}

static void infer_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *coordinator)
{
    struct infer_call *infer = open_call(call, coordinator, false);
    if (infer)
        start(infer, (const void *)message);
}

static void stream_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *coordinator)
{
    (void)message;
    open_call(call, coordinator, true);
}

static void stream_on_message(struct rpc_call *call, const ProtobufCMessage *message, void *coordinator)
{
    struct infer_call *infer = rpc_call_user(call);
    (void)coordinator;
    if (!infer)
        return;
    if (message) {
        start(infer, (const void *)message);
        return;
    }
    pthread_mutex_lock(&infer->lock);
    infer->said_all = true;
    bool is_done = !infer->first;
    pthread_mutex_unlock(&infer->lock);
    if (is_done)
        rpc_finish(call, STATUS_OK, NULL);
}

/* The number of an open request, which is forgotten; 0: there is none left. */
static uint64_t take_number(struct infer_call *infer)
{
    uint64_t number = 0;
    pthread_mutex_lock(&infer->lock);
    infer->closed = true;
    for (struct inference *inference = infer->first; inference && !number; inference = inference->next) {
        number = inference->number;
        inference->number = 0;
    }
    pthread_mutex_unlock(&infer->lock);
    return number;
}

/* Cancels what still runs. Not under the lock: the end of a request takes it. */
static void infer_on_close(struct rpc_call *call, bool cancelled, void *context)
{
    struct infer_call *infer = rpc_call_user(call);
    struct coordinator *coordinator = context;
    uint64_t number;
    (void)cancelled; /* a request that has ended is not found */
    if (!infer)
        return;
    while ((number = take_number(infer)))
        scheduler_cancel(coordinator->scheduler, number);
    infer_call_unref(infer);
}

/* ---- what is served ---- */

static void live_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *coordinator)
{
    (void)message, (void)coordinator;
    Inference__ServerLiveResponse response = INFERENCE__SERVER_LIVE_RESPONSE__INIT;
    response.live = true; /* whoever answers lives */
    rpc_reply(call, &response.base);
}

static bool is_ready(const struct coordinator *coordinator)
{
    char reason[256];
    return scheduler_is_ready(coordinator->scheduler, reason, sizeof reason);
}

static void ready_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *coordinator)
{
    (void)message;
    Inference__ServerReadyResponse response = INFERENCE__SERVER_READY_RESPONSE__INIT;
    response.ready = is_ready(coordinator);
    rpc_reply(call, &response.base);
}

static bool is_served(const struct coordinator *coordinator, const char *name, const char *version,
                      struct error *error)
{
    if (*version && strcmp(version, infer_model_version))
        return !error_set(error, STATUS_NOT_FOUND, "version: %.64s is not served; there is %s", version,
                          infer_model_version);
    return served_model_check_name(coordinator->model, name, error) == STATUS_OK;
}

static void model_ready_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    const Inference__ModelReadyRequest *request = (const void *)message;
    const struct coordinator *coordinator = context;
    struct error error;
    Inference__ModelReadyResponse response = INFERENCE__MODEL_READY_RESPONSE__INIT;
    response.ready = is_served(coordinator, request->name, request->version, &error) && is_ready(coordinator);
    rpc_reply(call, &response.base);
}

static void server_metadata_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    (void)message, (void)context;
    Inference__ServerMetadataResponse response = INFERENCE__SERVER_METADATA_RESPONSE__INIT;
    response.name = (char *)"millrace";
    response.version = (char *)MILLRACE_VERSION;
    rpc_reply(call, &response.base);
}

static void model_metadata_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    const Inference__ModelMetadataRequest *request = (const void *)message;
    const struct coordinator *coordinator = context;
    struct error error;
    if (!is_served(coordinator, request->name, request->version, &error)) {
        rpc_fail(call, &error);
        return;
    }
    Inference__ModelMetadataResponse response = INFERENCE__MODEL_METADATA_RESPONSE__INIT;
    infer_wire_metadata(coordinator->model, &response);
    rpc_reply(call, &response.base);
}

#define METHOD(name) "/inference.GRPCInferenceService/" name

struct rpc_service inference_service(struct coordinator *coordinator)
{
    static const struct rpc_method methods[] = {
        {METHOD("ServerLive"), RPC_UNARY, &inference__server_live_request__descriptor,
         .on_call = live_on_call, .scopes = RPC_SCOPE_GENERATE | RPC_SCOPE_ADMIN},
        {METHOD("ServerReady"), RPC_UNARY, &inference__server_ready_request__descriptor,
         .on_call = ready_on_call, .scopes = RPC_SCOPE_GENERATE | RPC_SCOPE_ADMIN},
        {METHOD("ModelReady"), RPC_UNARY, &inference__model_ready_request__descriptor,
         .on_call = model_ready_on_call, .scopes = RPC_SCOPE_GENERATE | RPC_SCOPE_ADMIN},
        {METHOD("ServerMetadata"), RPC_UNARY, &inference__server_metadata_request__descriptor,
         .on_call = server_metadata_on_call, .scopes = RPC_SCOPE_GENERATE | RPC_SCOPE_ADMIN},
        {METHOD("ModelMetadata"), RPC_UNARY, &inference__model_metadata_request__descriptor,
         .on_call = model_metadata_on_call, .scopes = RPC_SCOPE_GENERATE | RPC_SCOPE_ADMIN},
        {METHOD("ModelInfer"), RPC_UNARY, &inference__model_infer_request__descriptor,
         .on_call = infer_on_call, .on_close = infer_on_close, .scopes = RPC_SCOPE_GENERATE},
        {METHOD("ModelStreamInfer"), RPC_BIDI, &inference__model_infer_request__descriptor,
         .on_call = stream_on_call, .on_message = stream_on_message, .on_close = infer_on_close,
         .scopes = RPC_SCOPE_GENERATE},
        {0},
    };
    return (struct rpc_service){"inference.GRPCInferenceService", methods, coordinator};
}
