#include "coordinator/http/completions_answer.h"

#include <math.h>

#include "common/utf8.h"
#include "coordinator/request/render_text.h"

json_t *completions_json(const struct completions_head *head, json_t *choices)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", head->id, "object", "text_completion", "created",
                     (json_int_t)head->created, "model", head->model, "system_fingerprint", head->fingerprint,
                     "choices", choices ? choices : json_array());
}

json_t *completions_choice_json(size_t index, const char *text, const char *finish_reason, json_t *details)
{
    return json_pack("{s:s, s:I, s:n, s:s?, s:o*}", "text", text, "index", (json_int_t)index, "logprobs",
                     "finish_reason", finish_reason, "millrace", details);
}

json_t *completions_usage_json(const struct completions_usage *usage)
{
    return json_pack("{s:I, s:I, s:I}", "prompt_tokens", (json_int_t)usage->prompt_tokens,
                     "completion_tokens", (json_int_t)usage->completion_tokens, "total_tokens",
                     (json_int_t)(usage->prompt_tokens + usage->completion_tokens));
}

/* ---- under "millrace" ---- */

/* Seeds are signed in JSON, as OpenAI's are. */
static json_t *seed_json(uint64_t seed)
{
    return json_integer((json_int_t)seed);
}

/* [[from, to), ...] of the positions that may change. */
static json_t *editable_json(const uint8_t *editable, int length)
{
    json_t *ranges = json_array();
    for (int from = 0, to; from < length; from = to) {
        for (to = from; to < length && editable[to] == editable[from]; to++)
            ;
        if (editable[from])
            json_array_append_new(ranges, json_pack("[i, i]", from, to));
    }
    return ranges;
}

json_t *completions_accepted_json(size_t index, const struct request_accepted *accepted)
{
    static const char *const priorities[] = {
        [CLASS_HIGH] = "high", [CLASS_NORMAL] = "normal", [CLASS_LOW] = "low"};
    return json_pack(
        "{s:{s:I, s:s, s:i, s:i, s:i, s:o, s:f, s:s, s:s, s:f, s:o}}", "accepted", "index", (json_int_t)index,
        "request_id", accepted->id, "length", accepted->length, "pinned", accepted->n_pinned, "steps",
        accepted->steps, "seed", seed_json(accepted->seed), "temperature", (double)accepted->temperature,
        "solver", solver_name(accepted->solver), "priority", priorities[accepted->class], "estimated_seconds",
        accepted->estimated_seconds, "editable", editable_json(accepted->editable, accepted->length));
}

/* A piece is a string, or an array of bytes where it is no whole characters. */
static json_t *piece_json(const struct served_model *model, uint32_t id)
{
    struct token_piece piece = tokenizer_piece(model->tokenizer, (int32_t)id);
    if (utf8_valid_size(piece.bytes, piece.size_bytes) == piece.size_bytes)
        return json_stringn_nocheck(piece.size_bytes ? piece.bytes : "", piece.size_bytes);
    json_t *bytes = json_array();
    for (size_t i = 0; i < piece.size_bytes; i++)
        json_array_append_new(bytes, json_integer((unsigned char)piece.bytes[i]));
    return bytes;
}

/* NULL: nothing was drawn. */
static json_t *scores_json(const struct request_frame *frame)
{
    json_t *scores = frame->log_probabilities ? json_array() : NULL;
    for (size_t i = 0; scores && i < frame->n; i++)
        json_array_append_new(scores, json_real((double)frame->log_probabilities[i]));
    return scores;
}

json_t *completions_frame_json(size_t index, const struct served_model *model,
                               const struct request_frame *frame)
{
    json_t *positions = json_array(), *ids = json_array(), *pieces = json_array();
    for (size_t i = 0; i < frame->n; i++) {
        json_array_append_new(positions, json_integer(frame->positions[i]));
        json_array_append_new(ids, json_integer(frame->ids[i]));
        json_array_append_new(pieces, piece_json(model, frame->ids[i]));
    }
    return json_pack("{s:{s:I, s:I, s:I, s:f, s:o, s:o, s:o, s:o*}}", "frame", "index", (json_int_t)index,
                     "step", (json_int_t)frame->step, "steps", (json_int_t)frame->steps, "seconds",
                     frame->seconds, "positions", positions, "ids", ids, "pieces", pieces,
                     "log_probabilities", scores_json(frame));
}

static json_t *seconds_json(double seconds)
{
    return isnan(seconds) ? json_null() : json_real(seconds);
}

static json_t *ids_json(const struct request_ended *ended)
{
    json_t *ids = json_array();
    for (int i = 0; i < ended->length; i++)
        json_array_append_new(ids, json_integer(ended->ids[i]));
    return ids;
}

static json_t *changed_json(const struct request_ended *ended)
{
    json_t *steps = json_array();
    for (int i = 0; i < ended->length; i++)
        json_array_append_new(steps, json_integer(ended->changed_step[i]));
    return steps;
}

json_t *completions_ended_json(const char *request_id, const struct request_ended *ended, bool with_ids)
{
    return json_pack(
        "{s:s, s:o, s:I, s:I, s:i, s:i, s:f, s:f, s:s, s:I, s:{s:o, s:o, s:f, s:f}, s:o*, s:o*}",
        "request_id", request_id, "seed", seed_json(ended->seed), "steps", (json_int_t)ended->steps,
        "forwards", (json_int_t)ended->forwards, "length", ended->length, "pinned", ended->n_pinned,
        "entropy_bits", text_entropy_bits(ended->ids, (size_t)ended->length), "mean_log_probability",
        ended->mean_log_probability, "replica", ended->replica, "ranks", (json_int_t)ended->n_ranks,
        "seconds", "queue", seconds_json(ended->queue_seconds), "first_frame",
        seconds_json(ended->first_frame_seconds), "compute", ended->compute_seconds, "total", ended->seconds,
        "ids", with_ids ? ids_json(ended) : NULL, "changed_step", with_ids ? changed_json(ended) : NULL);
}
