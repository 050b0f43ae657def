#include "coordinator/services/client_events.h"

#include <stdlib.h>

#include "coordinator/request/render_text.h"
#include "proto/millrace.pb-c.h"

static void send_event(struct rpc_call *call, Millrace__V1__GenerateEvent__KindCase kind, void *event)
{
    Millrace__V1__GenerateEvent message = MILLRACE__V1__GENERATE_EVENT__INIT;
    message.kind_case = kind;
    message.accepted = event; /* a union of pointers */
    rpc_send(call, &message.base);
}

static Millrace__V1__Priority priority_of(enum request_class class)
{
    static const Millrace__V1__Priority priorities[] = {[CLASS_HIGH] = MILLRACE__V1__PRIORITY__HIGH,
                                                        [CLASS_NORMAL] = MILLRACE__V1__PRIORITY__NORMAL,
                                                        [CLASS_LOW] = MILLRACE__V1__PRIORITY__LOW};
    return priorities[class];
}

void client_send_accepted(struct rpc_call *call, const struct served_model *model,
                          const struct request_accepted *accepted)
{
    Millrace__V1__Accepted message = MILLRACE__V1__ACCEPTED__INIT;
    message.request_id = (char *)accepted->id;
    message.model = (char *)model->config.name;
    message.seed = accepted->seed;
    message.length = (uint32_t)accepted->length;
    message.steps = (uint32_t)accepted->steps;
    message.pinned = (uint32_t)accepted->n_pinned;
    message.temperature = accepted->temperature;
    message.editable = (ProtobufCBinaryData){(size_t)accepted->length, (uint8_t *)accepted->editable};
    message.solver = (Millrace__V1__Solver)accepted->solver;
    message.estimated_seconds = accepted->estimated_seconds;
    message.priority = priority_of(accepted->class);
    send_event(call, MILLRACE__V1__GENERATE_EVENT__KIND_ACCEPTED, &message);
}

void client_send_frame(struct rpc_call *call, const struct served_model *model,
                       const struct request_frame *frame)
{
    ProtobufCBinaryData *pieces = calloc(frame->n + 1, sizeof *pieces);
    if (!pieces) {
        rpc_finish(call, STATUS_RESOURCE_EXHAUSTED, "no memory for a frame");
        return;
    }
    for (size_t i = 0; i < frame->n; i++) {
        struct token_piece piece = tokenizer_piece(model->tokenizer, (int32_t)frame->ids[i]);
        pieces[i] = (ProtobufCBinaryData){piece.size_bytes, (uint8_t *)piece.bytes};
    }
    Millrace__V1__Frame message = MILLRACE__V1__FRAME__INIT;
    message.step = frame->step;
    message.steps = frame->steps;
    message.n_positions = message.n_ids = message.n_pieces = frame->n;
    message.positions = (uint32_t *)frame->positions;
    message.ids = (uint32_t *)frame->ids;
    message.pieces = pieces;
    message.log_probabilities = (float *)frame->log_probabilities;
    message.n_log_probabilities = frame->log_probabilities ? frame->n : 0;
    message.elapsed_ms = 1e3 * frame->seconds;
    message.final = frame->step == frame->steps;
    send_event(call, MILLRACE__V1__GENERATE_EVENT__KIND_FRAME, &message);
    free(pieces);
}

/* ---- the end of a text ---- */

static Millrace__V1__Timings timings_of(const struct request_ended *ended)
{
    Millrace__V1__Timings timings = MILLRACE__V1__TIMINGS__INIT;
    timings.queue_ms = 1e3 * ended->queue_seconds;
    timings.first_frame_ms = 1e3 * ended->first_frame_seconds;
    timings.compute_ms = 1e3 * ended->compute_seconds;
    timings.total_ms = 1e3 * ended->seconds;
    return timings;
}

static Millrace__V1__Finished finished_of(const struct request_ended *ended)
{
    Millrace__V1__Finished finished = MILLRACE__V1__FINISHED__INIT;
    finished.n_ids = finished.n_changed_step = (size_t)ended->length;
    finished.ids = (uint32_t *)ended->ids;
    finished.changed_step = (uint32_t *)ended->changed_step;
    finished.prompt_tokens = (uint32_t)ended->n_pinned;
    finished.generated_tokens = (uint32_t)(ended->length - ended->n_pinned);
    finished.seed = ended->seed;
    finished.entropy_bits = text_entropy_bits(ended->ids, (size_t)ended->length);
    finished.mean_log_probability = ended->mean_log_probability;
    finished.replica = (char *)ended->replica;
    finished.ranks = ended->n_ranks;
    finished.forwards = ended->forwards < UINT32_MAX ? (uint32_t)ended->forwards : UINT32_MAX;
    return finished;
}

/* The text as a proto3 string may hold it; malloc'ed. */
static enum status render(const struct served_model *model, const struct request_ended *ended, char **text,
                          struct error *error)
{
    char *bytes;
    size_t size;
    enum status status =
        tokenizer_decode(model->tokenizer, ended->ids, (size_t)ended->length, &bytes, &size, error);
    if (status != STATUS_OK)
        return status;
    *text = text_repair(bytes, size);
    free(bytes);
    return *text ? STATUS_OK : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the text");
}

static void send_finished(struct rpc_call *call, const struct served_model *model,
                          const struct request_ended *ended)
{
    struct error error;
    Millrace__V1__Finished finished = finished_of(ended);
    if (render(model, ended, &finished.text, &error) != STATUS_OK) {
        rpc_fail(call, &error);
        return;
    }
    Millrace__V1__Timings timings = timings_of(ended);
    finished.timings = &timings;
    Millrace__V1__GenerateEvent message = MILLRACE__V1__GENERATE_EVENT__INIT;
    message.kind_case = MILLRACE__V1__GENERATE_EVENT__KIND_FINISHED;
    message.finished = &finished;
    rpc_reply(call, &message.base);
    free(finished.text);
}

void client_send_end(struct rpc_call *call, const struct served_model *model,
                     const struct request_ended *ended)
{
    if (ended->status == STATUS_OK)
        send_finished(call, model, ended);
    else
        rpc_finish(call, ended->status, ended->text);
}
