/* `millrace eval`: gets texts, asks a judge about them, and prints figures. */
#include "cli/eval/eval.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/cluster/connection.h"
#include "common/clock.h"
#include "cli/eval/elbo.h"
#include "cli/eval/judge.h"
#include "cli/eval/metrics.h"
#include "cli/eval/plot.h"
#include "cli/eval/report.h"
#include "cli/eval/settings.h"
#include "cli/eval/table.h"
#include "cli/eval/task.h"
#include "cli/eval/writing.h"
#include "cli/cluster/ask.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/json_output.h"

enum { TITLE_BYTES = 200, CALL_TIMEOUT_S = 30 };

/* Texts, and what was measured of them. */
struct texts {
    struct sample_list list;
    struct metrics *rows;
    size_t n_rows;
};

struct eval {
    const struct eval_settings *settings;
    struct judge *judge; /* or NULL */
    struct texts texts, others;
    double wall_s[STEP_COUNTS_MAX]; /* spent on the texts of each number of steps */
    size_t n_editable;              /* tokens that were to be written in each text */
    char title[TITLE_BYTES];
    json_t *elbo; /* or NULL */
};

/* Refuses at once what the cluster would refuse only after it has written for a while. */
static enum status check_against_model(const struct eval_settings *settings, const Millrace__V1__Model *model,
                                       struct error *error)
{
    if (settings->length > (int64_t)model->max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT, "--length %lld: %s writes up to %u tokens",
                         (long long)settings->length, model->name, model->max_length);
    for (size_t i = 0; i < settings->n_steps; i++) {
        if (settings->steps[i] > model->max_steps)
            return error_set(error, STATUS_INVALID_ARGUMENT, "--steps %u: %s takes up to %u",
                             settings->steps[i], model->name, model->max_steps);
    }
    return STATUS_OK;
}

static struct task_options task_options_of(const struct eval_settings *settings,
                                           const Millrace__V1__Model *model)
{
    struct task_options options = {.kind = TASK_UNCONDITIONAL,
                                   .prefix_tokens = settings->prefix_tokens,
                                   .share = settings->infill_share,
                                   .n_tasks = (size_t)settings->n_texts,
                                   .length =
                                       settings->length ? (size_t)settings->length : model->trained_length,
                                   .seed = (uint64_t)settings->seed};
    if (settings->prefix)
        options.kind = TASK_PREFIX, options.file = settings->prefix;
    if (settings->infill)
        options.kind = TASK_INFILL, options.file = settings->infill;
    return options;
}

static void make_title(struct eval *eval, const Millrace__V1__Model *model, const struct task_options *tasks)
{
    char how[96] = "unconditional";
    if (tasks->kind == TASK_PREFIX)
        snprintf(how, sizeof how, "continuing %lld tokens of %.60s", (long long)tasks->prefix_tokens,
                 tasks->file);
    if (tasks->kind == TASK_INFILL)
        snprintf(how, sizeof how, "filling in %.60s, %g given", tasks->file, tasks->share);
    snprintf(eval->title, sizeof eval->title,
             "%.40s: %zu texts of %zu tokens at each number of steps, %s, seeds from %llu", model->name,
             tasks->n_tasks, tasks->length, how, (unsigned long long)tasks->seed);
}

static enum solver solver_of(const struct eval_settings *settings, const Millrace__V1__Model *model)
{
    return settings->solver_name ? settings->solver : (enum solver)model->default_solver;
}

static enum status write_at(struct eval *eval, struct rpc_channel *channel, const Millrace__V1__Model *model,
                            const struct task_list *tasks, size_t index, struct error *error)
{
    const struct eval_settings *settings = eval->settings;
    const struct writing_options options = {.channel = channel,
                                            .model = model->name,
                                            .tasks = tasks,
                                            .steps = settings->steps[index],
                                            .seed = (uint64_t)settings->seed,
                                            .temperature = (float)settings->temperature,
                                            .solver = solver_of(settings, model),
                                            .in_flight = (size_t)settings->in_flight,
                                            .timeout_s = (double)settings->timeout_s};
    struct progress progress;
    char what[64];
    snprintf(what, sizeof what, "writing, %u step%s", options.steps, options.steps == 1 ? "" : "s");
    progress_begin(&progress, stderr, what, tasks->n);
    enum status status = writing_run(&options, &progress, &eval->texts.list, &eval->wall_s[index], error);
    if (status == STATUS_OK)
        progress_end(&progress, tasks->n, eval->wall_s[index]);
    return status;
}

static enum status write_with(struct eval *eval, struct rpc_channel *channel,
                              const Millrace__V1__Model *model, struct error *error)
{
    struct task_list tasks = {0};
    const struct task_options task_options = task_options_of(eval->settings, model);
    enum status status = check_against_model(eval->settings, model, error);
    if (status == STATUS_OK)
        status = task_list_make(channel, &task_options, &tasks, error);
    make_title(eval, model, &task_options);
    eval->n_editable = tasks.n_editable;
    for (size_t i = 0; i < eval->settings->n_steps && status == STATUS_OK; i++)
        status = write_at(eval, channel, model, &tasks, i, error);
    task_list_release(&tasks);
    return status;
}

static enum status write_texts(struct eval *eval, struct error *error)
{
    struct connection connection;
    Millrace__V1__Model *model = NULL;
    enum status status =
        connection_open_choice(&connection, &eval->settings->cluster, eval->settings->ranks, error);
    if (status != STATUS_OK)
        return status;
    status = ask_model(connection.channel, NULL, CALL_TIMEOUT_S, &model, error);
    if (status == STATUS_OK)
        status = write_with(eval, connection.channel, model, error);
    if (status != STATUS_OK && status != STATUS_CANCELLED && status != STATUS_INVALID_ARGUMENT)
        private_cluster_show_log(&connection.cluster);
    if (model)
        protobuf_c_message_free_unpacked(&model->base, NULL);
    connection_close(&connection);
    return status;
}

static enum status judge_texts(struct eval *eval, const char *what, struct sample_list *list,
                               struct error *error)
{
    struct progress progress;
    double start = clock_seconds();
    if (!eval->judge || list->n == 0)
        return STATUS_OK;
    progress_begin(&progress, stderr, what, list->n);
    enum status status = judge_score(eval->judge, list->samples, list->n, &progress, error);
    if (status == STATUS_OK)
        progress_end(&progress, list->n, clock_seconds() - start);
    return status;
}

static enum status measure(struct texts *texts, struct error *error)
{
    return texts->list.n == 0 ? STATUS_OK
                              : metrics_of_list(&texts->list, &texts->rows, &texts->n_rows, error);
}

/* The rows of the texts that this run wrote are in the order of the numbers of steps. */
static void add_rates(struct eval *eval)
{
    for (size_t i = 0; i < eval->settings->n_steps; i++)
        eval->texts.rows[i].tokens_per_second =
            (double)(eval->texts.rows[i].n_texts * eval->n_editable) / eval->wall_s[i];
}

/* Measures everything. The judge is started first: if something is wrong with it, that shows before any work
 * is done. */
static enum status gather(struct eval *eval, struct error *error)
{
    const struct eval_settings *settings = eval->settings;
    enum status status = STATUS_OK;
    if (settings->judge)
        status = judge_open(settings->judge, (double)settings->judge_timeout_s, &eval->judge, error);
    if (status == STATUS_OK && settings->score) {
        snprintf(eval->title, sizeof eval->title, "texts of %.150s", settings->score);
        status = sample_list_read(settings->score, &eval->texts.list, error);
    }
    if (status == STATUS_OK && settings->against)
        status = sample_list_read(settings->against, &eval->others.list, error);
    if (status == STATUS_OK && settings->n_steps > 0)
        status = write_texts(eval, error);
    if (status == STATUS_OK &&
        settings->samples) /* before judging: a judge that fails must not cost us the texts */
        status = sample_list_write(settings->samples, &eval->texts.list, error);
    if (status == STATUS_OK)
        status = judge_texts(eval, "judging", &eval->texts.list, error);
    if (status == STATUS_OK)
        status = judge_texts(eval, "judging those to compare with", &eval->others.list, error);
    if (status == STATUS_OK)
        status = measure(&eval->texts, error);
    if (status == STATUS_OK)
        status = measure(&eval->others, error);
    if (status == STATUS_OK && settings->n_steps > 0)
        add_rates(eval);
    return status;
}

static enum status measure_elbo(struct eval *eval, struct error *error)
{
    const struct eval_settings *settings = eval->settings;
    const struct elbo_request request = {.model_directory = settings->cluster.model_directory,
                                         .file = settings->elbo,
                                         .windows = settings->elbo_windows,
                                         .length = settings->length,
                                         .seed = settings->seed,
                                         .ranks = settings->ranks};
    fprintf(stderr, "bounding the bits of %s, %lld windows ...\n", settings->elbo,
            (long long)settings->elbo_windows);
    return elbo_measure_file(&request, &eval->elbo, error);
}

static double elbo_number(const json_t *elbo, const char *key)
{
    return json_number_value(json_object_get(elbo, key));
}

static void print_elbo(const json_t *elbo, FILE *out)
{
    fprintf(out,
            "%s, bound on the cost of %s:\n  %.4f ±%.4f bits a token (%.4f nats), %.4f ±%.4f bits a byte\n"
            "  %.0f windows of %.0f tokens, t from 0 to %.6f",
            json_string_value(json_object_get(elbo, "model")),
            json_string_value(json_object_get(elbo, "file")), elbo_number(elbo, "bits_per_token"),
            elbo_number(elbo, "bits_error"), elbo_number(elbo, "nats_per_token"),
            elbo_number(elbo, "bits_per_byte"), elbo_number(elbo, "bits_per_byte_error"),
            elbo_number(elbo, "windows"), elbo_number(elbo, "length"), elbo_number(elbo, "t_end"));
    if (elbo_number(elbo, "dt") > 0)
        fprintf(out, "; the model is told dt = 1/%.0f, the smallest step it was trained for",
                1 / elbo_number(elbo, "dt"));
    fputs("\n\n", out);
}

static void print(const struct eval *eval, FILE *out)
{
    const char *judge = eval->judge ? judge_name(eval->judge) : NULL;
    const struct texts *texts = &eval->texts, *others = &eval->others;
    char title[TITLE_BYTES];
    if (texts->n_rows > 0)
        table_print(eval->title, texts->rows, texts->n_rows, judge, out);
    if (others->n_rows > 0) {
        snprintf(title, sizeof title, "to compare with: texts of %.150s", eval->settings->against);
        table_print(title, others->rows, others->n_rows, judge, out);
    }
    if (texts->n_rows > 0 && others->n_rows > 0)
        table_print_differences(texts->rows, texts->n_rows, others->rows, others->n_rows, judge, out);
    if (eval->elbo)
        print_elbo(eval->elbo, out);
    if (!judge && texts->n_rows > 0)
        fputs("no perplexity without a --judge; docs/eval.md\n", out);
}

static enum status write_json(const struct eval *eval, struct error *error)
{
    const struct eval_settings *settings = eval->settings;
    const char *judge = eval->judge ? judge_name(eval->judge) : NULL;
    const struct texts *texts = &eval->texts, *others = &eval->others;
    bool to_output = !strcmp(settings->json, "-");
    FILE *file = to_output ? stdout : fopen(settings->json, "wb");
    if (!file)
        return error_set(error, STATUS_PERMISSION_DENIED, "%s cannot be written: %s", settings->json,
                         strerror(errno));
    json_t *report =
        json_pack("{s:s, s:s, s:s?, s:I, s:I, s:o, s:o, s:o, s:O?}", "version", MILLRACE_VERSION, "title",
                  eval->title, "judge", judge, "seed", (json_int_t)settings->seed, "in_flight",
                  (json_int_t)settings->in_flight, "rows", report_rows(texts->rows, texts->n_rows, judge),
                  "against", report_rows(others->rows, others->n_rows, judge), "differences",
                  report_differences(texts->rows, texts->n_rows, others->rows, others->n_rows, judge), "elbo",
                  eval->elbo);
    enum status status = json_print(report, 2, file, error);
    if (!to_output && fclose(file) != 0 && status == STATUS_OK)
        status =
            error_set(error, STATUS_UNKNOWN, "%s cannot be written: %s", settings->json, strerror(errno));
    return status;
}

static enum status write_plot(const struct eval *eval, struct error *error)
{
    const struct plot plot = {.title = eval->title,
                              .judge = judge_name(eval->judge),
                              .rows = eval->texts.rows,
                              .n = eval->texts.n_rows,
                              .others = eval->others.rows,
                              .n_others = eval->others.n_rows};
    return plot_write(&plot, eval->settings->plot, error);
}

static enum status report(const struct eval *eval, struct error *error)
{
    const struct eval_settings *settings = eval->settings;
    enum status status = STATUS_OK;
    if (!settings->json || strcmp(settings->json, "-") != 0)
        print(eval, stdout);
    if (settings->samples)
        status = sample_list_write(settings->samples, &eval->texts.list, error);
    if (status == STATUS_OK && settings->json)
        status = write_json(eval, error);
    if (status == STATUS_OK && settings->plot)
        status = write_plot(eval, error);
    return status;
}

static void release_texts(struct texts *texts)
{
    free(texts->rows);
    sample_list_release(&texts->list);
}

static enum status run(const struct eval_settings *settings, struct error *error)
{
    struct eval eval = {.settings = settings};
    interrupt_block();
    enum status status = gather(&eval, error);
    if (status == STATUS_OK && settings->elbo)
        status = measure_elbo(&eval, error);
    if (status == STATUS_OK)
        status = report(&eval, error);
    judge_close(eval.judge);
    json_decref(eval.elbo);
    release_texts(&eval.texts);
    release_texts(&eval.others);
    return status;
}

int eval_main(int argc, char **argv)
{
    struct eval_settings settings;
    struct error error;
    int code = eval_settings_parse(&settings, argc, argv);
    if (code >= 0)
        return code;
    return run(&settings, &error) == STATUS_OK ? EXIT_CODE_OK : command_fail("millrace eval", &error);
}
