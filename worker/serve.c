/* The worker as a part of a replica: its start, its leader's connection, its end. */
#include "worker/serve.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "kernels/precision.h"
#include "worker/engine/attach.h"
#include "worker/engine/ready_file.h"
#include "worker/engine/submission.h"

#define HUNG_SECONDS 10.0 /* that a replica which was given up for hanging has to move again */

/*
 * SIGTERM and SIGINT stop rank 0 at its next step boundary, and it the others; SIGUSR1, which mpirun passes
 * on, makes it finish what runs first. SIGUSR2 ends the thread that waits for them. The mask is set before
 * any thread starts.
 */
sigset_t serve_signals(void)
{
    static const int awaited[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof awaited / sizeof *awaited; i++)
        sigaddset(&set, awaited[i]);
    return set;
}

/* What rank 0 has besides: its line to the coordinator, from before the model is loaded. */
struct leader {
    struct mailbox *mailbox;
    struct attach *attach;
    char fingerprint[17];
    char backend[32]; /* "cpu f32" */
};

static void *wait_for_signal(void *argument)
{
    sigset_t set = serve_signals();
    int signal_number = 0;
    struct leader *leader = argument;
    while (sigwait(&set, &signal_number) == 0 && signal_number != SIGUSR2) {
        bool drain = signal_number == SIGUSR1;
        log_info("%s: %s", strsignal(signal_number),
                 drain ? "finishing what runs" : "stopping at the next step boundary");
        if (drain)
            attach_leaving(leader->attach); /* what can move elsewhere does */
        mailbox_post(leader->mailbox, (struct mail){.kind = drain ? MAIL_DRAIN : MAIL_STOP});
    }
    return NULL;
}

/* Of files that may turn out to be bad; then the model cannot be opened either, and nobody needs it. */
static void read_fingerprint(const char *directory, char fingerprint[17])
{
    struct error error;
    struct model_config config;
    struct tensors *tensors;
    if (model_config_read(directory, &config, &error) != STATUS_OK ||
        tensors_open(directory, &tensors, &error) != STATUS_OK)
        return;
    if (tensors_check_model(tensors, &config, &error) == STATUS_OK)
        tensors_fingerprint(tensors, &config, fingerprint);
    tensors_close(tensors);
}

static enum status leader_init(struct leader *leader, const struct settings *settings,
                               const struct meters *meters, int n_ranks, void (*hung)(void),
                               struct error *error)
{
    const struct backend *backend;
    struct error unknown;
    bool found = backend_find(settings->backend, &backend, &unknown) == STATUS_OK;
    *leader = (struct leader){.mailbox = mailbox_create()};
    snprintf(leader->backend, sizeof leader->backend, "%s %s", found ? backend->name : settings->backend,
             precision_text(found ? precision_on(backend, settings->numbers) : settings->numbers));
    read_fingerprint(settings->model, leader->fingerprint);
    const struct attach_options attach_options = {.coordinator = settings->coordinator,
                                                  .security = &settings->security,
                                                  .replica = settings->replica,
                                                  .fingerprint = leader->fingerprint,
                                                  .backend = leader->backend,
                                                  .n_ranks = n_ranks,
                                                  .meters = meters,
                                                  .hung_seconds = HUNG_SECONDS,
                                                  .hung = hung};
    if (!leader->mailbox)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the mailbox");
    return attach_start(&attach_options, leader->mailbox, &leader->attach, error);
}

static void leader_release(struct leader *leader)
{
    attach_end(leader->attach);
    if (leader->mailbox)
        mailbox_free(leader->mailbox, submission_free);
    *leader = (struct leader){0};
}

/* The first rank that exits takes all others with it: none does before the coordinator knows why. */
static void say_why_and_wait(struct collective *collective, struct leader *leader, const struct error *error)
{
    char here = 1, *all = calloc((size_t)collective->n_ranks, 1);
    if (leader) {
        attach_failed(leader->attach, 0, error);
        leader_release(leader);
    }
    if (all)
        collective->table->exchange(collective, &here, 1, all);
    free(all);
}

void serve_remove_ready_file(const struct settings *settings)
{
    if (settings_serve(settings) && settings->ready_file && unlink(settings->ready_file) && errno != ENOENT)
        log_error("--ready-file %s: %s", settings->ready_file, strerror(errno));
}

static enum status lead(const struct settings *settings, struct model *model, struct engine *engine,
                        struct leader *leader, struct error *error)
{
    pthread_t signal_thread;
    enum status status = engine_warm_up(engine, error);
    if (status == STATUS_OK && pthread_create(&signal_thread, NULL, wait_for_signal, leader) != 0)
        status =
            error_set(error, STATUS_RESOURCE_EXHAUSTED, "cannot start the thread that waits for signals");
    if (status != STATUS_OK)
        return status;
    log_info(
        "ready: %s on %s, %d ranks, %.1f MiB of weights a rank, %.1f MiB planned in all, loaded in %.2f s: "
        "%.2f s files and device, %.2f s exchange, %.2f s weights and buffers",
        model->weights.config.name, model->backend->describe(model->device), model->collective->n_ranks,
        (double)model->weights.size_bytes / 1048576, (double)model->planned.total / 1048576,
        model->load_seconds, model->stage_seconds[0], model->stage_seconds[1] - model->stage_seconds[0],
        model->stage_seconds[2] - model->stage_seconds[1]);
    struct engine_sink sink = attach_sink(leader->attach);
    attach_ready(leader->attach, model->forward.limits, settings_run_ahead(settings, model),
                 model->load_seconds);
    struct ready_file *ready = ready_file_open(settings->ready_file, model->meters);
    status = engine_lead(engine, leader->mailbox, &sink, error);
    ready_file_close(ready);
    pthread_kill(signal_thread, SIGUSR2);
    pthread_join(signal_thread, NULL);
    return status;
}

/* `leader` on rank 0, else NULL. */
static enum status run_engine(const struct settings *settings, struct model *model, struct leader *leader,
                              struct error *error)
{
    struct engine *engine = NULL;
    enum status status =
        engine_create(model, model->forward.limits, settings_run_ahead(settings, model), &engine, error);
    status = collective_agree(model->collective, status, error);
    if (status == STATUS_OK)
        status = leader ? lead(settings, model, engine, leader, error) : engine_follow(engine, error);
    engine_free(engine);
    return status;
}

static enum status load_and_run(const struct settings *settings, struct collective *collective,
                                struct meters *meters, struct leader *leader, struct error *error)
{
    struct model model;
    const struct model_options model_options = settings_model(settings, collective, meters);
    enum status status = model_open(&model, &model_options, error);
    if (status != STATUS_OK) { /* on all ranks */
        say_why_and_wait(collective, leader, error);
        return status;
    }
    status = run_engine(settings, &model, leader, error);
    model_close(&model);
    return status;
}

enum status serve(const struct settings *settings, struct collective *collective, void (*hung)(void),
                  struct error *error)
{
    static struct meters meters;
    struct leader leader;
    if (collective->rank > 0)
        return load_and_run(settings, collective, &meters, NULL, error);
    enum status status = leader_init(&leader, settings, &meters, collective->n_ranks, hung, error);
    if (status == STATUS_OK)
        status = load_and_run(settings, collective, &meters, &leader, error);
    leader_release(&leader);
    return status;
}
