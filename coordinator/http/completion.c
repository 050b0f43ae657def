/* What the sink of a choice hears becomes the answer, whole or as a stream of server-sent events. */
#include "coordinator/http/completion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "coordinator/http/problem.h"

/* ---- events ---- */

/* Sends JSON as an event; takes it over. What the exchange does not take ends it. */
static void send_json(const struct completion *completion, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL, *event = NULL;
    int size = text ? asprintf(&event, "data: %s\n\n", text) : -1;
    json_decref(json);
    if (size < 0)
        exchange_cut(completion->exchange);
    else if (exchange_send(completion->exchange, event, (size_t)size) == STATUS_RESOURCE_EXHAUSTED)
        log_debug("http: a client reads too slowly");
    free(text);
    if (size >= 0)
        free(event);
}

static void send_choice(const struct completion_choice *choice, const char *text, const char *finish_reason,
                        json_t *details)
{
    const struct completion *completion = choice->completion;
    json_t *json = completions_choice_json(choice->index, text, finish_reason, details);
    send_json(completion, completions_json(&completion->head, json ? json_pack("[o]", json) : NULL));
}

/* Without choices; `details` is taken over. */
static void send_details(const struct completion *completion, json_t *details)
{
    json_t *json = completions_json(&completion->head, NULL);
    if (json)
        json_object_set_new(json, "millrace", details);
    send_json(completion, json);
}

/* A comment: proxies see that the connection lives, and parsers of events ignore it. */
static void send_comment(const struct completion *completion, const struct request_frame *frame)
{
    char text[64];
    int size = snprintf(text, sizeof text, ": step %u of %u\n\n", frame->step, frame->steps);
    exchange_send(completion->exchange, text, (size_t)size);
}

/* ---- the end of all ---- */

void completion_cancel(struct completion *completion)
{
    pthread_mutex_lock(&completion->lock);
    struct completion_choice *choices = completion->choices;
    size_t n = completion->n_choices;
    pthread_mutex_unlock(&completion->lock);
    for (size_t i = 0; i < n; i++) {
        uint64_t number = atomic_load(&choices[i].number);
        if (number)
            scheduler_cancel(completion->coordinator->scheduler, number);
    }
}

void completion_fail(struct completion *completion, const struct error *error)
{
    pthread_mutex_lock(&completion->lock);
    bool is_first = !completion->has_failed;
    if (is_first)
        completion->failure = *error;
    completion->has_failed = true;
    pthread_mutex_unlock(&completion->lock);
    if (is_first)
        completion_cancel(completion);
}

static json_t *choices_json(const struct completion *completion)
{
    json_t *choices = json_array();
    for (size_t i = 0; i < completion->n_choices; i++) {
        struct completion_choice *choice = &completion->choices[i];
        json_array_append_new(choices, completions_choice_json(i, choice->text, choice->finish_reason,
                                                               json_incref(choice->details)));
    }
    return choices;
}

static void conclude_stream(struct completion *completion)
{
    static const char done[] = "data: [DONE]\n\n";
    if (completion->body.include_usage) {
        json_t *json = completions_json(&completion->head, NULL);
        if (json)
            json_object_set_new(json, "usage", completions_usage_json(&completion->usage));
        send_json(completion, json);
    }
    exchange_send(completion->exchange, done, sizeof done - 1);
    exchange_end(completion->exchange);
}

static void conclude(struct completion *completion)
{
    if (completion->has_failed && completion->has_begun) {
        send_json(completion, problem_json(&completion->failure, NULL));
        exchange_end(completion->exchange);
    } else if (completion->has_failed) {
        problem_answer(completion->exchange, &completion->failure, NULL);
    } else if (completion->body.stream) {
        conclude_stream(completion);
    } else {
        json_t *json = completions_json(&completion->head, choices_json(completion));
        if (json)
            json_object_set_new(json, "usage", completions_usage_json(&completion->usage));
        json_answer(completion->exchange, MHD_HTTP_OK, json);
    }
}

void completion_arrived(struct completion *completion, size_t n)
{
    pthread_mutex_lock(&completion->lock);
    completion->n_awaited -= n;
    bool is_last = !completion->n_awaited;
    pthread_mutex_unlock(&completion->lock);
    if (is_last)
        conclude(completion);
}

/* ---- the sink ---- */

static struct line_subject subject_of(const struct completion_choice *choice)
{
    const struct exchange *exchange = choice->completion->exchange;
    return (struct line_subject){choice->id, exchange->caller.name, &exchange->trace};
}

static void log_user(const struct completion_choice *choice)
{
    const struct completion *completion = choice->completion;
    const struct log_field fields[] = {{"request", choice->id},
                                       {"caller", completion->exchange->caller.name},
                                       {"user", completion->body.user},
                                       {0}};
    if (completion->body.user)
        log_event(LOG_INFO, "request of a user", fields);
}

static int count_last_spaces(const char *text)
{
    size_t size = strlen(text), n = 0;
    while (n < size && text[size - 1 - n] == ' ')
        n++;
    return (int)n;
}

static void set_view(struct completion_choice *choice, const struct request_accepted *accepted)
{
    const struct completion *completion = choice->completion;
    const struct completions_body *body = &completion->body;
    const struct completions_prompt *prompt = body->segments ? NULL : &body->prompts[choice->index / body->n];
    const struct served_model *model = completion->coordinator->model;
    int first = 0, end = accepted->length;
    while (first < end && !accepted->editable[first])
        first++;
    while (!body->segments && end > first && !accepted->editable[end - 1])
        end--;
    bool from_start = body->segments || body->echo;
    choice->view = (struct completion_view){
        .model = model,
        .from = from_start ? 0 : first,
        .to = end,
        .written_from = body->segments ? 0 : first,
        .commits_early = body->stream && model->config.source == SOURCE_MASK && !body->revise,
        .n_spaces = !from_start && prompt->text ? count_last_spaces(prompt->text) : 0,
        .stops = body->stops,
        .n_stops = body->n_stops,
    };
    if (choice->view.commits_early)
        choice->ids = calloc((size_t)accepted->length, sizeof *choice->ids);
    choice->view.commits_early = choice->ids != NULL;
}

static void sink_accepted(void *context, const struct request_accepted *accepted)
{
    struct completion_choice *choice = context;
    struct completion *completion = choice->completion;
    snprintf(choice->id, sizeof choice->id, "%s", accepted->id);
    const struct line_subject subject = subject_of(choice);
    request_lines_accepted(&subject, accepted);
    if (choice->index == 0) {
        snprintf(completion->head.id, sizeof completion->head.id, "cmpl-%s", accepted->id);
        exchange_set_header(completion->exchange, "x-request-id", accepted->id);
        log_user(choice);
    }
    set_view(choice, accepted);
    if (completion->body.frames)
        send_details(completion, completions_accepted_json(choice->index, accepted));
}

/* Streams what a frame has committed. */
static void send_committed(struct completion_choice *choice, const struct request_frame *frame)
{
    struct completion_text text;
    struct error error;
    for (size_t i = 0; i < frame->n; i++)
        choice->ids[frame->positions[i]] = (int32_t)frame->ids[i];
    if (frame->step == frame->steps ||
        completion_text_read(&choice->view, choice->ids, false, &text, &error) != STATUS_OK)
        return;
    text.text[text.size] = '\0';
    if (text.size > choice->n_sent) {
        send_choice(choice, text.text + choice->n_sent, NULL, NULL);
        choice->n_sent = text.size;
    }
    free(text.text);
}

static void sink_frame(void *context, const struct request_frame *frame)
{
    struct completion_choice *choice = context;
    const struct completion *completion = choice->completion;
    if (completion->body.frames)
        send_details(completion,
                     completions_frame_json(choice->index, completion->coordinator->model, frame));
    else if (completion->body.stream)
        send_comment(completion, frame);
    if (choice->ids)
        send_committed(choice, frame);
}

static void sink_moved(void *context, const struct request_moved *moved)
{
    const struct line_subject subject = subject_of(context);
    request_lines_moved(&subject, moved);
}

static enum status finish(struct completion_choice *choice, const struct request_ended *ended,
                          struct error *error)
{
    struct completion *completion = choice->completion;
    struct completion_text text;
    enum status status = completion_text_read(&choice->view, ended->ids, true, &text, error);
    if (status != STATUS_OK)
        return status;
    choice->text = text.text;
    choice->finish_reason = text.is_stopped ? "stop" : "length";
    choice->details = completions_ended_json(choice->id, ended, completion->body.frames);
    pthread_mutex_lock(&completion->lock);
    completion->usage.prompt_tokens += ended->n_pinned;
    completion->usage.completion_tokens += ended->length - ended->n_pinned;
    pthread_mutex_unlock(&completion->lock);
    if (completion->body.stream)
        send_choice(choice, choice->text + (choice->n_sent < text.size ? choice->n_sent : text.size),
                    choice->finish_reason, json_incref(choice->details));
    return STATUS_OK;
}

/* Why a request that failed has failed, as its client is told. */
static void explain(const struct completion_choice *choice, const struct request_ended *ended,
                    struct error *error)
{
    struct exchange *exchange = choice->completion->exchange;
    if (ended->status == STATUS_CANCELLED && exchange_is_late(exchange))
        error_set(error, STATUS_DEADLINE_EXCEEDED, "millrace.deadline: passed after step %u of %u",
                  ended->step, ended->steps);
    else
        error_set(error, ended->status, "%s", ended->text);
}

static void sink_ended(void *context, const struct request_ended *ended)
{
    struct completion_choice *choice = context;
    struct completion *completion = choice->completion;
    struct exchange *exchange = completion->exchange;
    const struct line_subject subject = subject_of(choice);
    struct error error;
    bool is_well = ended->status == STATUS_OK && finish(choice, ended, &error) == STATUS_OK;
    if (!is_well && ended->status != STATUS_OK)
        explain(choice, ended, &error);
    if (!is_well)
        completion_fail(completion, &error);
    request_lines_ended(&subject, ended);
    completion_arrived(completion, 1);
    exchange_unref(exchange);
}

const struct request_sink completion_sink = {sink_accepted, sink_frame, sink_moved, sink_ended};
