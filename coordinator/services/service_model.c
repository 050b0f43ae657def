/* Millrace's unary methods that change nothing: Tokenize, Detokenize, GetModel, Status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/services/recent_rates.h"
#include "coordinator/services/services.h"
#include "proto/millrace.pb-c.h"
#include "common/clock.h"
#include "common/model/network.h"

static void hand_over(struct rpc_call *call, const ProtobufCMessage *message, offload_handler *handler,
                      struct coordinator *coordinator)
{
    struct error error;
    if (offload_call(coordinator->offload, call, message, handler, coordinator, &error) != STATUS_OK)
        rpc_fail(call, &error);
}

/* ---- Tokenize ---- */

static void reply_pieces(struct rpc_call *call, const struct served_model *model, const int32_t *ids,
                         size_t n)
{
    ProtobufCBinaryData *pieces = calloc(n + 1, sizeof *pieces);
    if (!pieces) {
        rpc_finish(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the pieces");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct token_piece piece = tokenizer_piece(model->tokenizer, ids[i]);
        pieces[i] = (ProtobufCBinaryData){piece.size_bytes, (uint8_t *)piece.bytes};
    }
    Millrace__V1__TokenizeResponse response = MILLRACE__V1__TOKENIZE_RESPONSE__INIT;
    response.n_ids = response.n_pieces = n;
    response.ids = (uint32_t *)ids;
    response.pieces = pieces;
    rpc_reply(call, &response.base);
    free(pieces);
}

static void tokenize(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    const Millrace__V1__TokenizeRequest *request = (const void *)message;
    const struct served_model *model = ((struct coordinator *)context)->model;
    struct error error;
    int32_t *ids = NULL;
    size_t n = 0;
    enum status status = served_model_check_name(model, request->model, &error);
    if (status == STATUS_OK)
        status = served_model_encode(model, "text", request->text, request->plain_text, &ids, &n, &error);
    if (status == STATUS_OK)
        reply_pieces(call, model, ids, n);
    else
        rpc_fail(call, &error);
    free(ids);
}

void tokenize_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    hand_over(call, message, tokenize, context);
}

/* ---- Detokenize ---- */

static enum status check_ids(const Millrace__V1__DetokenizeRequest *request,
                             const struct model_config *config, struct error *error)
{
    for (size_t i = 0; i < request->n_ids; i++) {
        if (request->ids[i] >= (uint32_t)config->n_ids)
            return error_set(error, STATUS_INVALID_ARGUMENT, "ids[%zu]: %u is not below %d", i,
                             request->ids[i], config->n_ids);
    }
    return STATUS_OK;
}

static void detokenize(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    const Millrace__V1__DetokenizeRequest *request = (const void *)message;
    const struct served_model *model = ((struct coordinator *)context)->model;
    Millrace__V1__DetokenizeResponse response = MILLRACE__V1__DETOKENIZE_RESPONSE__INIT;
    struct error error;
    char *text = NULL;
    enum status status = served_model_check_name(model, request->model, &error);
    if (status == STATUS_OK)
        status = check_ids(request, &model->config, &error);
    if (status == STATUS_OK)
        status = tokenizer_decode(model->tokenizer, (const int32_t *)request->ids, request->n_ids, &text,
                                  &response.text.len, &error);
    response.text.data = (uint8_t *)text;
    if (status == STATUS_OK)
        rpc_reply(call, &response.base);
    else
        rpc_fail(call, &error);
    free(text);
}

void detokenize_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    hand_over(call, message, detokenize, context);
}

/* ---- GetModel ---- */

void model_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    const Millrace__V1__GetModelRequest *request = (const void *)message;
    const struct served_model *model = ((struct coordinator *)context)->model;
    const struct model_config *config = &model->config;
    struct error error;
    if (served_model_check_name(model, request->model, &error) != STATUS_OK) {
        rpc_fail(call, &error);
        return;
    }
    Millrace__V1__Model answer = MILLRACE__V1__MODEL__INIT;
    answer.name = (char *)config->name;
    answer.architecture = (char *)architecture_name(config->architecture);
    answer.source = (char *)source_name(config->source);
    answer.parameters = model_config_parameters(config);
    answer.vocabulary = (uint32_t)config->vocabulary;
    answer.trained_length = (uint32_t)config->trained_length;
    answer.max_length = (uint32_t)config->max_length;
    answer.default_steps = (uint32_t)config->default_steps;
    answer.max_steps = (uint32_t)config->max_steps;
    answer.default_solver = (Millrace__V1__Solver)config->default_solver;
    rpc_reply(call, &answer.base);
}

/* ---- Status ---- */

/* Copies of the replicas' records: the answer is packed without the scheduler's lock. */
struct replica_list {
    Millrace__V1__ReplicaStatus *replicas;
    size_t n;
};

static void copy_replica(void *context, const struct replica *replica)
{
    struct replica_list *list = context;
    Millrace__V1__ReplicaStatus *grown = realloc(list->replicas, (list->n + 1) * sizeof *grown);
    if (!grown)
        return;
    list->replicas = grown;
    Millrace__V1__ReplicaStatus *copy = &grown[list->n++];
    millrace__v1__replica_status__init(copy);
    copy->name = strdup(replica->name);
    copy->state = (char *)replica_state_name(replica->state);
    copy->ranks = replica->n_ranks;
    copy->backend = strdup(replica->backend);
    copy->sequences = (uint32_t)replica->running.n;
    copy->steps = replica->steps;
    copy->last_error = strdup(replica->last_error);
    copy->restarts = replica->restarts;
    copy->attached_seconds = replica->operations ? clock_seconds() - replica->attached_at : 0;
    copy->tokens = (uint64_t)replica->running.n_tokens;
    copy->max_tokens = (uint64_t)replica->capacity.max_tokens;
}

static void release_replicas(struct replica_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->replicas[i].name);
        free(list->replicas[i].backend);
        free(list->replicas[i].last_error);
    }
    free(list->replicas);
}

static void reply_status(struct rpc_call *call, const struct coordinator *coordinator,
                         const struct replica_list *list, Millrace__V1__ReplicaStatus **pointers)
{
    struct scheduler_totals totals;
    scheduler_totals(coordinator->scheduler, &totals);
    for (size_t i = 0; i < list->n; i++)
        pointers[i] = &list->replicas[i];
    Millrace__V1__StatusResponse response = MILLRACE__V1__STATUS_RESPONSE__INIT;
    response.version = (char *)MILLRACE_VERSION;
    response.uptime_seconds = clock_seconds() - coordinator->started_at;
    response.model = (char *)coordinator->model->config.name;
    response.n_replicas = list->n;
    response.replicas = pointers;
    response.queued = totals.queued;
    response.running = totals.running;
    response.accepted = totals.accepted;
    response.finished = totals.finished;
    response.cancelled = totals.cancelled;
    response.failed = totals.failed;
    response.queued_tokens = (uint64_t)totals.queued_tokens;
    for (int i = 0; i < REFUSAL_COUNT; i++)
        response.refused += totals.refused[i];
    response.preempted = totals.preempted;
    response.batch_fill =
        totals.full_capacity ? (double)totals.full_tokens / (double)totals.full_capacity : 0;
    struct recent_message recent;
    recent_message_init(&recent, coordinator->metrics);
    response.recent = &recent.recent;
    rpc_reply(call, &response.base);
}

void status_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    (void)message;
    struct coordinator *coordinator = context;
    struct replica_list list = {0};
    scheduler_each_replica(coordinator->scheduler, copy_replica, &list);
    Millrace__V1__ReplicaStatus **pointers = calloc(list.n + 1, sizeof *pointers);
    if (pointers)
        reply_status(call, coordinator, &list, pointers);
    else
        rpc_finish(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the list of replicas");
    free(pointers);
    release_replicas(&list);
}

struct rpc_service millrace_service(struct coordinator *coordinator)
{
    static const struct rpc_method methods[] = {
        {"/millrace.v1.Millrace/Generate", RPC_SERVER_STREAM, &millrace__v1__generate_request__descriptor,
         .on_call = generate_on_call, .on_close = generate_on_close, .scopes = RPC_SCOPE_GENERATE},
        {"/millrace.v1.Millrace/Tokenize", RPC_UNARY, &millrace__v1__tokenize_request__descriptor,
         .on_call = tokenize_on_call, .scopes = RPC_SCOPE_GENERATE},
        {"/millrace.v1.Millrace/Detokenize", RPC_UNARY, &millrace__v1__detokenize_request__descriptor,
         .on_call = detokenize_on_call, .scopes = RPC_SCOPE_GENERATE},
        {"/millrace.v1.Millrace/GetModel", RPC_UNARY, &millrace__v1__get_model_request__descriptor,
         .on_call = model_on_call, .scopes = RPC_SCOPE_GENERATE | RPC_SCOPE_ADMIN},
        {"/millrace.v1.Millrace/Status", RPC_UNARY, &millrace__v1__status_request__descriptor,
         .on_call = status_on_call, .scopes = RPC_SCOPE_GENERATE | RPC_SCOPE_ADMIN},
        {"/millrace.v1.Millrace/DrainReplica", RPC_UNARY, &millrace__v1__drain_replica_request__descriptor,
         .on_call = drain_on_call, .scopes = RPC_SCOPE_ADMIN},
        {0},
    };
    return (struct rpc_service){"millrace.v1.Millrace", methods, coordinator};
}
