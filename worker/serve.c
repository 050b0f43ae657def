/* The worker as a part of a replica: its start, its leader's connection, its end. */
#include "worker/serve.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/rpc/token.h"
#include "kernels/precision.h"
#include "worker/engine/attach.h"
#include "worker/engine/last_words.h"
#include "worker/engine/ready_file.h"
#include "worker/engine/submission.h"

#define HUNG_SECONDS 10.0      /* in which a replica that was given up must move again */
#define LAST_WORDS_SECONDS 1.0 /* that a rank above 0 whose step failed takes to say so */

/*
 * SIGTERM, SIGINT and SIGHUP stop rank 0 at its next step boundary, and rank 0 stops the others. SIGUSR1,
 * which mpirun passes on, lets rank 0 finish first what runs. While the model loads nothing runs, and each of
 * these ends the replica at once. SIGUSR2 ends the thread that waits for signals. main blocks the signals
 * before any thread starts.
 */
sigset_t serve_signals(void)
{
    static const int awaited[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof awaited / sizeof *awaited; i++)
        sigaddset(&set, awaited[i]);
    return set;
}

/* What tells this process from others that say the replica's name; the same on all ranks. */
static char launch[TOKEN_SIZE];

/* The coordinator that starts us has said it to all ranks. Otherwise rank 0 makes something up. */
static enum status share_launch(struct collective *collective, struct error *error)
{
    const char *given = getenv("MILLRACE_LAUNCH");
    enum status status = STATUS_OK;
    if (given && *given)
        snprintf(launch, sizeof launch, "%s", given);
    else if (collective->rank == 0)
        status = token_make(launch, error);
    if (status == STATUS_OK)
        collective->table->broadcast(collective, launch, sizeof launch);
    return status;
}

/* What only rank 0 has. It is connected to the coordinator before it loads the model. */
struct leader {
    struct mailbox *mailbox;
    struct attach *attach;
    char fingerprint[17];
    char backend[32]; /* "cpu f32" */
    void (*stopped)(void);

    pthread_t signal_thread;
    bool waits_for_signals;
    pthread_mutex_t lock; /* guards `serving`. The signal thread keeps it while it ends the process */
    bool serving;         /* the model is loaded, and the engine takes mail */
};

/* Says goodbye to the coordinator and ends the process, because the main thread is in the middle of loading.
 */
static void stop_loading(struct leader *leader)
{
    attach_end(leader->attach, NULL);
    leader->stopped();
}

static void stop_serving(struct leader *leader, bool drain)
{
    if (drain)
        attach_leaving(leader->attach); /* the coordinator moves what can run elsewhere */
    mailbox_order(leader->mailbox, drain ? MAIL_DRAIN : MAIL_STOP);
}

static void *wait_for_signal(void *argument)
{
    sigset_t set = serve_signals();
    int signal_number = 0;
    struct leader *leader = argument;
    while (sigwait(&set, &signal_number) == 0 && signal_number != SIGUSR2) {
        bool drain = signal_number == SIGUSR1;
        pthread_mutex_lock(&leader->lock);
        const char *what = !leader->serving ? "ending while the model loads"
                           : drain          ? "finishing what runs"
                                            : "stopping at the next step boundary";
        log_info("%s: %s", strsignal(signal_number), what);
        if (leader->serving)
            stop_serving(leader, drain);
        else
            stop_loading(leader);
        pthread_mutex_unlock(&leader->lock);
    }
    return NULL;
}

/* The files may be bad. Then the model cannot be opened either, and nobody needs the fingerprint. */
static void read_fingerprint(const char *directory, char fingerprint[17])
{
    struct error error;
    struct model_config config;
    struct tensors *tensors;
    if (model_config_read(directory, &config, &error) != STATUS_OK ||
        tensors_open_model(directory, &config, &tensors, &error) != STATUS_OK)
        return;
    tensors_fingerprint(tensors, &config, fingerprint);
    tensors_close(tensors);
}

static void describe_backend(const struct settings *settings, char *text, size_t size)
{
    const struct backend *backend;
    struct error unknown;
    bool found = backend_find(settings->backend, &backend, &unknown) == STATUS_OK;
    snprintf(text, size, "%s %s", found ? backend->name : settings->backend,
             precision_text(found ? precision_on(backend, settings->numbers) : settings->numbers));
}

static enum status leader_init(struct leader *leader, const struct settings *settings,
                               const struct meters *meters, int n_ranks, const struct serve_ends *ends,
                               struct error *error)
{
    *leader = (struct leader){.mailbox = mailbox_create(), .stopped = ends->stopped};
    pthread_mutex_init(&leader->lock, NULL);
    describe_backend(settings, leader->backend, sizeof leader->backend);
    read_fingerprint(settings->model, leader->fingerprint);
    const struct attach_options attach_options = {.coordinator = settings->coordinator,
                                                  .security = &settings->security,
                                                  .replica = settings->replica,
                                                  .launch = launch,
                                                  .fingerprint = leader->fingerprint,
                                                  .backend = leader->backend,
                                                  .n_ranks = n_ranks,
                                                  .meters = meters,
                                                  .hung_seconds = HUNG_SECONDS,
                                                  .hung = ends->hung};
    if (!leader->mailbox)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the mailbox");
    enum status status = attach_start(&attach_options, leader->mailbox, &leader->attach, error);
    if (status != STATUS_OK)
        return status;
    if (pthread_create(&leader->signal_thread, NULL, wait_for_signal, leader) != 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "cannot start the thread that waits for signals");
    leader->waits_for_signals = true;
    return STATUS_OK;
}

/* `why`: what failed, or NULL. */
static void leader_release(struct leader *leader, const struct error *why)
{
    if (leader->waits_for_signals) {
        pthread_kill(leader->signal_thread, SIGUSR2);
        pthread_join(leader->signal_thread, NULL);
    }
    attach_end(leader->attach, why);
    if (leader->mailbox)
        mailbox_free(leader->mailbox, submission_free);
    pthread_mutex_destroy(&leader->lock);
    *leader = (struct leader){0};
}

void serve_remove_ready_file(const struct settings *settings)
{
    if (settings_serve(settings) && settings->ready_file && unlink(settings->ready_file) && errno != ENOENT)
        log_error("--ready-file %s: %s", settings->ready_file, strerror(errno));
}

static void log_ready(const struct model *model)
{
    log_info(
        "ready: %s on %s, %d ranks, %.1f MiB of weights a rank, %.1f MiB planned in all, loaded in %.2f s: "
        "%.2f s files and device, %.2f s exchange, %.2f s weights and buffers",
        model->weights.config.name, model->backend->describe(model->device), model->collective->n_ranks,
        (double)model->weights.size_bytes / 1048576, (double)model->needed_memory.total / 1048576,
        model->load_seconds, model->stage_seconds[0], model->stage_seconds[1] - model->stage_seconds[0],
        model->stage_seconds[2] - model->stage_seconds[1]);
}

static enum status lead(const struct settings *settings, struct model *model, struct engine *engine,
                        struct leader *leader, struct error *error)
{
    pthread_mutex_lock(&leader->lock); /* the signal thread may be ending the process */
    leader->serving = true;
    pthread_mutex_unlock(&leader->lock);
    log_ready(model);
    struct engine_sink sink = attach_sink(leader->attach);
    attach_ready(leader->attach, model->forward.limits, settings_run_ahead(settings, model),
                 model->load_seconds);
    struct ready_file *ready = ready_file_open(settings->ready_file, model->meters);
    enum status status = engine_lead(engine, leader->mailbox, &sink, error);
    ready_file_close(ready);
    return status;
}

/* Does everything that must be done before the replica is ready. */
static enum status start(const struct settings *settings, struct collective *collective,
                         struct meters *meters, struct model *model, struct engine **engine,
                         struct error *error)
{
    const struct model_options model_options = settings_model(settings, collective, meters);
    enum status status = model_open(model, &model_options, error);
    if (status != STATUS_OK)
        return status;
    status = engine_create(model, model->forward.limits, settings_run_ahead(settings, model), engine, error);
    status = collective_verdict(collective, status, error);
    return status == STATUS_OK ? engine_warm_up(*engine, (int)settings->warm_up, error) : status;
}

/* After all ranks agreed that the start failed. The first rank that exits takes all others with it, so every
 * rank waits here until the leader has told the coordinator why. */
static void wait_for_leader(struct collective *collective)
{
    char here = 1, *all = calloc((size_t)collective->n_ranks, 1);
    if (all)
        collective->table->exchange(collective, &here, 1, all);
    free(all);
}

/* Is it the sentence on which all ranks agreed? Such a sentence names the rank, unless there is only one. */
static bool is_verdict(const struct collective *collective, const struct error *error)
{
    return collective->n_ranks == 1 || collective_rank_of(error->text) >= 0;
}

static void name_rank(const struct collective *collective, struct error *error)
{
    const struct error said = *error;
    if (!is_verdict(collective, error))
        error_set(error, said.status, "rank %d of %d: %s", collective->rank, collective->n_ranks, said.text);
}

/* A rank above 0 tells the coordinator that it failed. The leader cannot: it waits for this rank in vain. */
static void tell_coordinator(const struct settings *settings, const struct collective *collective,
                             const struct error *error)
{
    log_error("%s", error->text);
    const struct last_words words = {.coordinator = settings->coordinator,
                                     .security = &settings->security,
                                     .replica = settings->replica,
                                     .launch = launch,
                                     .rank = collective->rank,
                                     .why = error};
    last_words_say(&words, LAST_WORDS_SECONDS);
}

/* `leader`: NULL on ranks above 0. When this returns an error, the coordinator has been told of it. */
static enum status start_and_run(const struct settings *settings, struct collective *collective,
                                 struct meters *meters, struct leader *leader, struct error *error)
{
    struct model model = {0};
    struct engine *engine = NULL;
    enum status status = start(settings, collective, meters, &model, &engine, error);
    bool started = status == STATUS_OK, agreed = !started && is_verdict(collective, error);
    if (started)
        status = leader ? lead(settings, &model, engine, leader, error) : engine_follow(engine, error);
    if (status != STATUS_OK)
        name_rank(collective, error);
    if (leader)
        leader_release(leader, status == STATUS_OK ? NULL : error);
    if (agreed)
        wait_for_leader(collective);
    else if (status != STATUS_OK && !leader)
        tell_coordinator(settings, collective, error);
    if (status != STATUS_OK)
        return status; /* the process ends with all it has: a device that failed is left alone */
    engine_free(engine);
    model_close(&model);
    return STATUS_OK;
}

enum status serve(const struct settings *settings, struct collective *collective,
                  const struct serve_ends *ends, struct error *error)
{
    static struct meters meters;
    struct leader leader;
    enum status status = share_launch(collective, error);
    if (status != STATUS_OK)
        return status;
    if (collective->rank > 0)
        return start_and_run(settings, collective, &meters, NULL, error);
    status = leader_init(&leader, settings, &meters, collective->n_ranks, ends, error);
    if (status == STATUS_OK)
        return start_and_run(settings, collective, &meters, &leader, error);
    leader_release(&leader, error);
    return status;
}
