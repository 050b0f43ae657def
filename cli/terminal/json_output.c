#include "cli/terminal/json_output.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/solver.h"
#include "common/utf8.h"

static json_t *json_of_seed(uint64_t seed)
{
    return json_sprintf("%" PRIu64, seed);
}

/* JSON has no NaN. */
static json_t *json_of_number(double number)
{
    return isfinite(number) ? json_real(number) : json_null();
}

static json_t *json_of_ids(const uint32_t *ids, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

json_t *json_of_bytes(const void *bytes, size_t size_bytes)
{
    const char *text = bytes;
    char *clean = malloc(3 * size_bytes + 1);
    size_t n = 0;
    for (size_t at = 0; clean && at < size_bytes;) {
        size_t valid = utf8_valid_size(text + at, size_bytes - at);
        memcpy(clean + n, text + at, valid);
        n += valid;
        at += valid;
        if (at < size_bytes) {
            n += (size_t)utf8_write(0xFFFD, clean + n);
            at++;
        }
    }
    json_t *value = clean ? json_stringn(clean, n) : NULL;
    free(clean);
    return value;
}

static json_t *json_of_hex(const ProtobufCBinaryData *bytes)
{
    char *digits = malloc(2 * bytes->len + 1);
    for (size_t i = 0; digits && i < bytes->len; i++)
        sprintf(digits + 2 * i, "%02x", bytes->data[i]);
    json_t *value = digits ? json_stringn(digits, 2 * bytes->len) : NULL;
    free(digits);
    return value;
}

void json_add_pieces(json_t *object, const ProtobufCBinaryData *pieces, size_t n)
{
    json_t *texts = json_array(), *bytes = json_object();
    for (size_t i = 0; texts && bytes && i < n; i++) {
        char index[24];
        const char *piece = (const char *)pieces[i].data;
        json_array_append_new(texts, json_of_bytes(piece, pieces[i].len));
        snprintf(index, sizeof index, "%zu", i);
        if (utf8_valid_size(piece, pieces[i].len) < pieces[i].len)
            json_object_set_new(bytes, index, json_of_hex(&pieces[i]));
    }
    json_object_set_new(object, "pieces", texts);
    if (json_object_size(bytes))
        json_object_set_new(object, "piece_bytes", bytes);
    else
        json_decref(bytes);
}

json_t *json_of_accepted(const Millrace__V1__Accepted *accepted)
{
    return json_pack(
        "{s:s, s:s, s:o, s:I, s:I, s:I, s:o, s:s}", "request_id", accepted->request_id, "model",
        accepted->model, "seed", json_of_seed(accepted->seed), "length", (json_int_t)accepted->length,
        "steps", (json_int_t)accepted->steps, "pinned", (json_int_t)accepted->pinned, "temperature",
        json_of_number((double)accepted->temperature), "solver", solver_name((enum solver)accepted->solver));
}

json_t *json_of_frame(const Millrace__V1__Frame *frame)
{
    json_t *object =
        json_pack("{s:I, s:I, s:o, s:o}", "step", (json_int_t)frame->step, "steps", (json_int_t)frame->steps,
                  "positions", json_of_ids(frame->positions, frame->n_positions), "ids",
                  json_of_ids(frame->ids, frame->n_ids));
    json_add_pieces(object, frame->pieces, frame->n_pieces);
    json_object_set_new(object, "final", json_boolean(frame->final));
    return object;
}

static json_t *json_of_timings(const Millrace__V1__Timings *timings)
{
    if (!timings)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o}", "queue_ms", json_of_number(timings->queue_ms), "first_frame_ms",
                     json_of_number(timings->first_frame_ms), "compute_ms",
                     json_of_number(timings->compute_ms), "total_ms", json_of_number(timings->total_ms));
}

json_t *json_of_finished(const Millrace__V1__Finished *finished)
{
    return json_pack("{s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:s, s:I, s:I}", "text",
                     json_of_bytes(finished->text, strlen(finished->text)), "ids",
                     json_of_ids(finished->ids, finished->n_ids), "changed_step",
                     json_of_ids(finished->changed_step, finished->n_changed_step), "prompt_tokens",
                     (json_int_t)finished->prompt_tokens, "generated_tokens",
                     (json_int_t)finished->generated_tokens, "seed", json_of_seed(finished->seed),
                     "entropy_bits", json_of_number(finished->entropy_bits), "mean_log_probability",
                     json_of_number(finished->mean_log_probability), "timings",
                     json_of_timings(finished->timings), "replica", finished->replica, "ranks",
                     (json_int_t)finished->ranks, "forwards", (json_int_t)finished->forwards);
}

json_t *json_of_model(const Millrace__V1__Model *model)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "name", model->name,
                     "architecture", model->architecture, "source", model->source, "parameters",
                     (json_int_t)model->parameters, "vocabulary", (json_int_t)model->vocabulary,
                     "trained_length", (json_int_t)model->trained_length, "max_length",
                     (json_int_t)model->max_length, "default_steps", (json_int_t)model->default_steps,
                     "max_steps", (json_int_t)model->max_steps, "default_solver",
                     solver_name((enum solver)model->default_solver));
}

static json_t *json_of_replica(const Millrace__V1__ReplicaStatus *replica)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "name", replica->name, "state",
                     replica->state, "ranks", (json_int_t)replica->ranks, "backend", replica->backend,
                     "sequences", (json_int_t)replica->sequences, "tokens", (json_int_t)replica->tokens,
                     "max_tokens", (json_int_t)replica->max_tokens, "steps", (json_int_t)replica->steps,
                     "restarts", (json_int_t)replica->restarts, "last_error", replica->last_error);
}

static json_t *json_of_quantiles(const Millrace__V1__Quantiles *quantiles)
{
    if (!quantiles)
        return json_null();
    return json_pack("{s:o, s:o}", "p50_ms", json_of_number(quantiles->p50_ms), "p95_ms",
                     json_of_number(quantiles->p95_ms));
}

/* null from a coordinator that does not say. */
static json_t *json_of_recent(const Millrace__V1__Recent *recent)
{
    if (!recent)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "seconds", json_of_number(recent->seconds),
                     "requests_per_second", json_of_number(recent->requests_per_second), "tokens_per_second",
                     json_of_number(recent->tokens_per_second), "steps_per_second",
                     json_of_number(recent->steps_per_second), "changes_per_step",
                     json_of_number(recent->changes_per_step), "queue", json_of_quantiles(recent->queue),
                     "first_frame", json_of_quantiles(recent->first_frame), "total",
                     json_of_quantiles(recent->total));
}

json_t *json_of_status(const Millrace__V1__StatusResponse *status)
{
    json_t *replicas = json_array();
    for (size_t i = 0; replicas && i < status->n_replicas; i++)
        json_array_append_new(replicas, json_of_replica(status->replicas[i]));
    return json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "version",
                     status->version, "uptime_seconds", json_of_number(status->uptime_seconds), "model",
                     status->model, "queued", (json_int_t)status->queued, "running",
                     (json_int_t)status->running, "accepted", (json_int_t)status->accepted, "finished",
                     (json_int_t)status->finished, "cancelled", (json_int_t)status->cancelled, "failed",
                     (json_int_t)status->failed, "queued_tokens", (json_int_t)status->queued_tokens,
                     "refused", (json_int_t)status->refused, "preempted", (json_int_t)status->preempted,
                     "batch_fill", json_of_number(status->batch_fill), "recent",
                     json_of_recent(status->recent), "replicas", replicas);
}

enum status json_print(json_t *value, int indent, FILE *out, struct error *error)
{
    size_t flags = indent > 0 ? JSON_INDENT((size_t)indent) : JSON_COMPACT;
    if (!value)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                         "no memory for the JSON output, or a text in it is no UTF-8");
    int failed =
        json_dumpf(value, out, flags | JSON_REAL_PRECISION(7)) || fputc('\n', out) == EOF || fflush(out);
    json_decref(value);
    return failed ? error_set(error, STATUS_UNKNOWN, "standard output cannot be written") : STATUS_OK;
}
