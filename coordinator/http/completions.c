/* POST /v1/completions: the body becomes requests, and the scheduler accepts them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/clock.h"
#include "coordinator/http/completion.h"
#include "coordinator/http/fingerprint.h"
#include "coordinator/http/problem.h"
#include "coordinator/http/routes.h"
#include "coordinator/http/watch.h"

/* ---- life ---- */

static void leave(struct exchange_work *work)
{
    completion_cancel((struct completion *)work);
}

static void completion_free(struct exchange_work *work)
{
    struct completion *completion = (struct completion *)work;
    for (size_t i = 0; i < completion->n_choices; i++) {
        request_free(completion->choices[i].request);
        free(completion->choices[i].ids);
        free(completion->choices[i].text);
        json_decref(completion->choices[i].details);
    }
    free(completion->choices);
    if (completion->was_read)
        completions_body_release(&completion->body);
    pthread_mutex_destroy(&completion->lock);
    free(completion);
}

static struct completion *completion_create(struct exchange *exchange, struct coordinator *coordinator)
{
    struct completion *completion = calloc(1, sizeof *completion);
    if (!completion)
        return NULL;
    completion->work = (struct exchange_work){leave, completion_free};
    completion->exchange = exchange;
    completion->coordinator = coordinator;
    pthread_mutex_init(&completion->lock, NULL);
    fingerprint_write(coordinator, completion->fingerprint, sizeof completion->fingerprint);
    completion->head = (struct completions_head){.created = (long long)time(NULL),
                                                 .model = coordinator->model->config.name,
                                                 .fingerprint = completion->fingerprint};
    return completion;
}

static void refuse(const struct completion *completion, const struct error *error)
{
    struct coordinator *coordinator = completion->coordinator;
    const struct exchange *exchange = completion->exchange;
    const struct line_subject subject = {"", exchange->caller.name, &exchange->trace};
    pthread_mutex_lock(&coordinator->refusals_lock);
    request_lines_refused(&coordinator->refusals, &subject, error);
    pthread_mutex_unlock(&coordinator->refusals_lock);
    problem_answer(completion->exchange, error, NULL);
}

/* ---- reading ---- */

/* Seeds that we draw have 53 bits, because readers of JSON take numbers for doubles. */
static enum status draw_seed(struct completions_body *body, struct error *error)
{
    if (body->seed_is_set)
        return STATUS_OK;
    if (getrandom(&body->seed, sizeof body->seed, 0) != (ssize_t)sizeof body->seed)
        return error_set(error, STATUS_INTERNAL, "seed: the system has no random numbers");
    body->seed >>= 11;
    return STATUS_OK;
}

static void set_terms(const struct completion *completion, struct request_terms *terms)
{
    const struct exchange *exchange = completion->exchange;
    const struct rpc_caller *caller = &exchange->caller;
    snprintf(terms->caller, sizeof terms->caller, "%s", caller->name);
    terms->max_requests = caller->max_requests;
    terms->max_tokens = caller->max_tokens;
    if (completion->body.deadline_seconds > 0)
        terms->deadline_at = exchange->began_at + completion->body.deadline_seconds;
    terms->trace = exchange->trace;
}

static enum status make_request(struct completion *completion, size_t index, struct error *error)
{
    const struct served_model *model = completion->coordinator->model;
    struct completions_choice_options made;
    completions_body_options(&completion->body, index, &made);
    if (!completion->body.solver_is_set)
        made.options.solver = model->config.default_solver;
    set_terms(completion, &made.options.terms);
    enum status status = request_create(&made.options, model, &completion->choices[index].request, error);
    if (status != STATUS_OK)
        completions_body_rename(&completion->body, error);
    return status;
}

static enum status make_choices(struct completion *completion, struct error *error)
{
    size_t n = completions_body_n_choices(&completion->body);
    struct completion_choice *choices = calloc(n, sizeof *choices);
    if (!choices)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
    pthread_mutex_lock(&completion->lock);
    completion->choices = choices;
    completion->n_choices = n;
    completion->n_awaited = n + 1;
    pthread_mutex_unlock(&completion->lock);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        choices[i].completion = completion;
        choices[i].index = i;
        status = make_request(completion, i, error);
    }
    return status;
}

static enum status read_body(struct completion *completion, struct error *error)
{
    const struct bytes *bytes = &completion->exchange->body;
    enum status status =
        completions_body_read(bytes->at ? bytes->at : "", bytes->size, &completion->body, error);
    if (status != STATUS_OK)
        return status;
    completion->was_read = true;
    status = draw_seed(&completion->body, error);
    return status == STATUS_OK ? make_choices(completion, error) : status;
}

/* ---- accepting ---- */

static enum status accept_choice(struct completion *completion, size_t index, struct error *error)
{
    struct scheduler *scheduler = completion->coordinator->scheduler;
    struct completion_choice *choice = &completion->choices[index];
    uint64_t number = 0;
    exchange_ref(completion->exchange); /* the sink's */
    enum status status =
        scheduler_accept(scheduler, choice->request, &completion_sink, choice, &number, error);
    if (status != STATUS_OK) {
        completions_body_rename(&completion->body, error);
        exchange_unref(completion->exchange);
        return status;
    }
    choice->request = NULL;
    atomic_store(&choice->number, number);
    if (exchange_has_left(completion->exchange))
        scheduler_cancel(scheduler, number);
    return STATUS_OK;
}

static void begin_stream(struct completion *completion)
{
    pthread_mutex_lock(&completion->lock);
    bool begins = completion->body.stream && !completion->has_failed;
    completion->has_begun = begins;
    pthread_mutex_unlock(&completion->lock);
    if (begins)
        exchange_begin(completion->exchange, "text/event-stream; charset=utf-8");
}

static void accept_choices(struct completion *completion)
{
    struct error error;
    size_t n = 0;
    while (n < completion->n_choices && accept_choice(completion, n, &error) == STATUS_OK)
        n++;
    if (n < completion->n_choices)
        completion_fail(completion, &error);
    else
        begin_stream(completion);
    completion_arrived(completion, completion->n_choices - n + 1);
}

static void set_deadline(const struct completion *completion)
{
    double seconds = completion->body.deadline_seconds;
    if (seconds > 0)
        exchange_set_deadline(completion->exchange, completion->exchange->began_at + seconds);
}

/* On the server's thread, or beside it; the reader's reference to the exchange is ours. */
static void run(void *argument)
{
    struct completion *completion = argument;
    struct exchange *exchange = completion->exchange;
    struct error error;
    if (read_body(completion, &error) == STATUS_OK) {
        set_deadline(completion);
        accept_choices(completion);
    } else {
        metrics_count_invalid(completion->coordinator->metrics);
        refuse(completion, &error);
    }
    exchange_unref(exchange);
}

void completions_handle(struct exchange *exchange, struct coordinator *coordinator)
{
    struct completion *completion = completion_create(exchange, coordinator);
    struct error error;
    if (!completion) {
        error_set(&error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
        problem_answer(exchange, &error, NULL);
        return;
    }
    exchange_set_work(exchange, &completion->work);
    exchange_ref(exchange);
    if (exchange->body.size <= OFFLOAD_INLINE_BYTES) {
        run(completion);
    } else if (offload_post(coordinator->offload, run, completion, &error) != STATUS_OK) {
        metrics_count_unread(coordinator->metrics);
        refuse(completion, &error);
        exchange_unref(exchange);
    }
}
