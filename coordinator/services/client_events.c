#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "coordinator/request/render_text.h"
#include "coordinator/scheduler/scheduler.h"
#include "coordinator/services/client_events.h"
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

void event_send_accepted(struct rpc_call *call, const struct served_model *model, const struct run *run)
{
    char request_id[32];
    snprintf(request_id, sizeof request_id, "%llu", (unsigned long long)run->number);
    Millrace__V1__Accepted accepted = MILLRACE__V1__ACCEPTED__INIT;
    accepted.request_id = request_id;
    accepted.model = (char *)model->config.name;
    accepted.seed = run->seed;
    accepted.length = (uint32_t)run->length;
    accepted.steps = (uint32_t)run->steps;
    accepted.pinned = (uint32_t)run->n_pinned;
    accepted.temperature = run->request->choices.temperature;
    accepted.editable = (ProtobufCBinaryData){(size_t)run->length, run->editable};
    accepted.solver = (Millrace__V1__Solver)run->request->choices.solver;
    accepted.estimated_seconds = run->request->estimated_seconds;
    accepted.priority = priority_of(run->class);
    send_event(call, MILLRACE__V1__GENERATE_EVENT__KIND_ACCEPTED, &accepted);
}

void event_send_frame(struct rpc_call *call, const struct served_model *model, const struct run *run,
                      const uint32_t *positions, const uint32_t *ids, size_t n)
{
    ProtobufCBinaryData *pieces = calloc(n + 1, sizeof *pieces);
    if (!pieces) {
        rpc_finish(call, STATUS_RESOURCE_EXHAUSTED, "no memory for a frame");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct token_piece piece = tokenizer_piece(model->tokenizer, (int32_t)ids[i]);
        pieces[i] = (ProtobufCBinaryData){piece.size_bytes, (uint8_t *)piece.bytes};
    }
    Millrace__V1__Frame frame = MILLRACE__V1__FRAME__INIT;
    frame.step = run->step;
    frame.steps = (uint32_t)run->steps;
    frame.n_positions = frame.n_ids = frame.n_pieces = n;
    frame.positions = (uint32_t *)positions;
    frame.ids = (uint32_t *)ids;
    frame.pieces = pieces;
    frame.elapsed_ms = 1e3 * (clock_seconds() - run->accepted_at);
    frame.final = run->step == (uint32_t)run->steps;
    send_event(call, MILLRACE__V1__GENERATE_EVENT__KIND_FRAME, &frame);
    free(pieces);
}

void event_send_first_frame(struct rpc_call *call, const struct served_model *model, const struct run *run)
{
    size_t n = (size_t)run->length;
    uint32_t *positions = malloc(n * sizeof *positions);
    if (!positions) {
        rpc_finish(call, STATUS_RESOURCE_EXHAUSTED, "no memory for a frame");
        return;
    }
    for (size_t i = 0; i < n; i++)
        positions[i] = (uint32_t)i;
    event_send_frame(call, model, run, positions, (const uint32_t *)run->ids, n);
    free(positions);
}

/* ---- the end of a text ---- */

static Millrace__V1__Timings timings_of(const struct run *run)
{
    Millrace__V1__Timings timings = MILLRACE__V1__TIMINGS__INIT;
    timings.queue_ms = 1e3 * (run->began_at - run->accepted_at);
    timings.first_frame_ms = 1e3 * (run->first_frame_at - run->accepted_at);
    timings.compute_ms = run->compute_ms;
    timings.total_ms = 1e3 * (clock_seconds() - run->accepted_at);
    return timings;
}

static Millrace__V1__Finished finished_of(const struct run *run, const struct ending *ending)
{
    Millrace__V1__Finished finished = MILLRACE__V1__FINISHED__INIT;
    finished.n_ids = finished.n_changed_step = (size_t)run->length;
    finished.ids = (uint32_t *)run->ids;
    finished.changed_step = run->changed_step;
    finished.prompt_tokens = (uint32_t)run->n_pinned;
    finished.generated_tokens = (uint32_t)(run->length - run->n_pinned);
    finished.seed = run->seed;
    finished.entropy_bits = text_entropy_bits(run->ids, (size_t)run->length);
    finished.mean_log_probability = run->scored ? run->log_probability / run->scored : 0;
    finished.replica = (char *)ending->replica;
    finished.ranks = ending->n_ranks;
    return finished;
}

/* The text as a proto3 string may hold it; malloc'ed. */
static enum status render(const struct served_model *model, const struct run *run, char **text,
                          struct error *error)
{
    char *bytes;
    size_t size;
    enum status status =
        tokenizer_decode(model->tokenizer, run->ids, (size_t)run->length, &bytes, &size, error);
    if (status != STATUS_OK)
        return status;
    *text = text_repair(bytes, size);
    free(bytes);
    return *text ? STATUS_OK : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the text");
}

void event_send_finished(struct rpc_call *call, const struct served_model *model, const struct run *run,
                         const struct ending *ending)
{
    struct error error;
    Millrace__V1__Finished finished = finished_of(run, ending);
    if (render(model, run, &finished.text, &error) != STATUS_OK) {
        rpc_fail(call, &error);
        return;
    }
    Millrace__V1__Timings timings = timings_of(run);
    finished.timings = &timings;
    Millrace__V1__GenerateEvent message = MILLRACE__V1__GENERATE_EVENT__INIT;
    message.kind_case = MILLRACE__V1__GENERATE_EVENT__KIND_FINISHED;
    message.finished = &finished;
    rpc_reply(call, &message.base);
    free(finished.text);
}
