/* What can be read: models, the cluster's state, metrics and probes; and chat, which no model here has. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/model/network.h"
#include "coordinator/http/fingerprint.h"
#include "coordinator/http/problem.h"
#include "coordinator/http/routes.h"
#include "coordinator/services/probes.h"

/* ---- models ---- */

/* Those that this network can use. */
static json_t *solvers_json(enum architecture architecture)
{
    json_t *names = json_array();
    for (int i = 0; i < SOLVER_COUNT; i++) {
        if (network_has_solver(network_of(architecture), (enum solver)i))
            json_array_append_new(names, json_string(solver_name((enum solver)i)));
    }
    return names;
}

static json_t *details_json(struct coordinator *coordinator)
{
    const struct model_config *config = &coordinator->model->config;
    char fingerprint[160];
    fingerprint_write(coordinator, fingerprint, sizeof fingerprint);
    return json_pack("{s:s, s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:s, s:o, s:s}", "architecture",
                     architecture_name(config->architecture), "source",
                     config->source == SOURCE_MASK ? "mask" : "uniform", "parameters",
                     (json_int_t)model_config_parameters(config), "vocabulary", config->vocabulary,
                     "trained_length", config->trained_length, "max_length", config->max_length,
                     "default_steps", config->default_steps, "max_steps", config->max_steps, "default_solver",
                     solver_name(config->default_solver), "solvers", solvers_json(config->architecture),
                     "system_fingerprint", fingerprint);
}

static json_t *model_json(struct coordinator *coordinator)
{
    double up_seconds = clock_seconds() - coordinator->started_at;
    return json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", coordinator->model->config.name, "object", "model",
                     "created", (json_int_t)((double)time(NULL) - up_seconds), "owned_by", "millrace",
                     "millrace", details_json(coordinator));
}

void models_handle(struct exchange *exchange, struct coordinator *coordinator)
{
    json_answer(exchange, MHD_HTTP_OK,
                json_pack("{s:s, s:[o]}", "object", "list", "data", model_json(coordinator)));
}

void model_handle(struct exchange *exchange, struct coordinator *coordinator)
{
    const char *name = exchange->path + strlen("/v1/models/");
    struct error error;
    if (served_model_check_name(coordinator->model, name, &error) == STATUS_OK)
        json_answer(exchange, MHD_HTTP_OK, model_json(coordinator));
    else
        problem_answer(exchange, &error, &(struct problem){0, "model", "model_not_found"});
}

void chat_completions_handle(struct exchange *exchange, struct coordinator *coordinator)
{
    struct error error;
    error_set(&error, STATUS_INVALID_ARGUMENT,
              "model: %.100s has no chat template, so there is no way to make one text of messages; use "
              "POST /v1/completions",
              coordinator->model->config.name);
    problem_answer(exchange, &error, &(struct problem){0, "model", "no_chat_template"});
}

/* ---- the cluster ---- */

static void append_replica(void *context, const struct replica *replica)
{
    json_array_append_new(
        context, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "name", replica->name,
                           "state", replica_state_name(replica->state), "backend", replica->backend, "ranks",
                           (json_int_t)replica->n_ranks, "texts", (json_int_t)replica->running.n, "tokens",
                           (json_int_t)replica->running.n_tokens, "max_tokens",
                           (json_int_t)replica->capacity.max_tokens, "steps", (json_int_t)replica->steps,
                           "restarts", (json_int_t)replica->restarts, "last_error", replica->last_error));
}

static json_t *quantiles_json(double p50, double p95)
{
    return json_pack("{s:o, s:o}", "p50", isnan(p50) ? json_null() : json_real(p50), "p95",
                     isnan(p95) ? json_null() : json_real(p95));
}

static json_t *recent_json(struct coordinator *coordinator)
{
    struct metrics_recent recent = metrics_recent(coordinator->metrics, clock_seconds());
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:o}", "seconds", recent.seconds,
                     "requests_per_second", recent.requests_per_second, "tokens_per_second",
                     recent.tokens_per_second, "steps_per_second", recent.steps_per_second,
                     "changes_per_step", recent.changes_per_step, "queue_seconds",
                     quantiles_json(recent.queue_p50, recent.queue_p95), "first_frame_seconds",
                     quantiles_json(recent.first_frame_p50, recent.first_frame_p95), "total_seconds",
                     quantiles_json(recent.total_p50, recent.total_p95));
}

void status_handle(struct exchange *exchange, struct coordinator *coordinator)
{
    struct scheduler_totals totals;
    json_t *replicas = json_array();
    scheduler_totals(coordinator->scheduler, &totals);
    scheduler_each_replica(coordinator->scheduler, append_replica, replicas);
    double fill = totals.full_capacity ? (double)totals.full_tokens / (double)totals.full_capacity : 0;
    json_answer(exchange, MHD_HTTP_OK,
                json_pack("{s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o}", "version",
                          MILLRACE_VERSION, "model", coordinator->model->config.name, "uptime_seconds",
                          clock_seconds() - coordinator->started_at, "queued", (json_int_t)totals.queued,
                          "queued_tokens", (json_int_t)totals.queued_tokens, "running",
                          (json_int_t)totals.running, "accepted", (json_int_t)totals.accepted, "finished",
                          (json_int_t)totals.finished, "cancelled", (json_int_t)totals.cancelled, "failed",
                          (json_int_t)totals.failed, "batch_fill", fill, "replicas", replicas, "recent",
                          recent_json(coordinator)));
}

/* ---- /metrics and the probes ---- */

void watchers_handle(struct exchange *exchange, struct coordinator *coordinator)
{
    const struct http_page *page = probe_pages;
    struct exposition content = {0};
    while (strcmp(page->path, exchange->path) != 0)
        page++;
    unsigned code = page->write(coordinator, &content);
    if (content.incomplete) {
        exposition_free(&content);
        code = MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    exchange_answer(exchange, code, page->content_type, content.text, content.size);
}
