/*
 * millrace-worker: one MPI rank of a replica.
 *
 *   mpirun -n 2 millrace-worker --model DIR --coordinator 127.0.0.1:7077
 *
 * Rank 0 attaches to the coordinator, forms the batch of each step and sends its plan to the others; every
 * rank computes its shard. Exit codes: 0 drained or told to stop; 1 failed; 2 bad usage. A rank that fails
 * takes the replica down: the launcher ends the job, the coordinator hands its sequences on.
 */
#include <mpi.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/options.h"
#include "common/plan_bounds.h"
#include "common/rpc/security_options.h"
#include "kernels/precision.h"
#include "worker/engine/attach.h"
#include "worker/tools/bench.h"
#include "worker/tools/elbo.h"
#include "worker/model/memory_print.h"
#include "worker/engine/submission.h"
#include "worker/verify/verify.h"

#define HUNG_SECONDS 10.0 /* that a replica which was given up for hanging has to move again */

static struct {
    const char *model, *coordinator, *replica, *backend, *precision, *collective, *gpu_memory, *run_ahead,
        *ready_file, *elbo, *verify, *only, *log_format;
    int64_t gpu, threads, batch_tokens, max_sequences;
    bool bench, no_thinning, plan, json;
    int64_t tp, batch, length, steps, repeats, samples, seed;
    struct rpc_security security;
} settings;

static enum precision precision; /* what settings.precision says */
static size_t memory_bytes;      /* and settings.gpu_memory; 0: nothing */

static const struct option_row rows[] = {
    {"model", 'm', OPTION_TEXT, "DIR", "MILLRACE_MODEL", NULL, 0, 0,
     "Directory of the model: config.json, model.safetensors.", &settings.model},
    {"coordinator", 'c', OPTION_TEXT, "ADDRESS", "MILLRACE_COORDINATOR", "127.0.0.1:7077", 0, 0,
     "Where the coordinator listens.", &settings.coordinator},
    {"replica", 0, OPTION_TEXT, "NAME", "MILLRACE_REPLICA", "r0", 0, 0,
     "Name of this replica, unique in the cluster.", &settings.replica},
    {"ready-file", 0, OPTION_TEXT, "PATH", "MILLRACE_READY_FILE", NULL, 0, 0,
     "Make this file when every rank has loaded and a warm-up step is done; it goes when the replica ends, "
     "or, where it was killed, when it starts again.",
     &settings.ready_file},
    SECURITY_OPTION_ROWS(settings.security),
    {"backend", 0, OPTION_TEXT, "NAME", "MILLRACE_BACKEND", "auto", 0, 0,
     "cpu, cuda, or auto: the best that runs here.", &settings.backend},
    {"precision", 0, OPTION_TEXT, "NAME", "MILLRACE_PRECISION", "auto", 0, 0,
     "f32, bf16 or fp8 of the large weights and what flows between them; auto: f32 on a CPU, bf16 on a GPU.",
     &settings.precision},
    {"gpu", 0, OPTION_INTEGER, "N", "MILLRACE_GPU", "-1", -1, 1023,
     "Which GPU of the machine; -1: the rank's number there, modulo how many there are.", &settings.gpu},
    {"collective", 0, OPTION_TEXT, "NAME", "MILLRACE_COLLECTIVE", "auto", 0, 0,
     "How ranks sum what they computed: mpi, nccl (GPUs), or auto: nccl where it is there.",
     &settings.collective},
    {"threads", 't', OPTION_INTEGER, "N", "MILLRACE_THREADS", "1", 1, 1024, "CPU threads of each rank.",
     &settings.threads},
    {"batch-tokens", 0, OPTION_INTEGER, "N", "MILLRACE_BATCH_TOKENS", "4096", 1, 1 << 22,
     "Tokens of all running sequences together; raised to the model's longest text.", &settings.batch_tokens},
    {"max-sequences", 0, OPTION_INTEGER, "N", "MILLRACE_MAX_SEQUENCES", "64", 1, 65536,
     "Sequences that run at the same time.", &settings.max_sequences},
    {"log-format", 0, OPTION_TEXT, "FORMAT", "MILLRACE_LOG_FORMAT", "text", 0, 0,
     "text, for people, or json: one object a line.", &settings.log_format},
    {"gpu-memory", 0, OPTION_TEXT, "SIZE", "MILLRACE_GPU_MEMORY", NULL, 0, 0,
     "What a rank may take, as in 40GiB; without it: its GPU's memory, or its "
     "share of the machine's with the replica's other ranks there. More is refused at start.",
     &settings.gpu_memory},
    {"plan", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
     "Do not attach: print what a rank would take, for --tp ranks and --batch texts of --length.",
     &settings.plan},
    {"tp", 0, OPTION_INTEGER, "N", NULL, "1", 1, PLAN_RANKS_MAX, "With --plan: ranks.", &settings.tp},
    {"json", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "With --plan: one JSON object.", &settings.json},
    {"run-ahead", 0, OPTION_TEXT, "auto|on|off", "MILLRACE_RUN_AHEAD", "auto", 0, 0,
     "Hand the device a step before the outcome of the last is read; auto: where it has memory of its own.",
     &settings.run_ahead},
    {"bench", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
     "Do not attach: write texts, measure, print a line of JSON.", &settings.bench},
    {"batch", 'b', OPTION_INTEGER, "N", NULL, "1", 1, PLAN_BATCH_MAX,
     "With --bench and --plan: texts that are written together.", &settings.batch},
    {"length", 'l', OPTION_INTEGER, "N", NULL, "1024", 1, PLAN_LENGTH_MAX,
     "With --bench, --plan and --elbo: tokens of a text.", &settings.length},
    {"steps", 's', OPTION_INTEGER, "N", NULL, "8", 1, 1 << 16, "With --bench: refinement steps.",
     &settings.steps},
    {"repeats", 0, OPTION_INTEGER, "N", NULL, "3", 1, 1000,
     "With --bench: times to write them; the fastest counts.", &settings.repeats},
    {"no-thinning", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
     "With --bench: logits for every position, also where it cannot change; the same text, for comparison.",
     &settings.no_thinning},
    {"elbo", 0, OPTION_TEXT, "FILE", NULL, NULL, 0, 0,
     "Do not attach: bound the bits that a text costs, its token ids in FILE, and print a line of JSON.",
     &settings.elbo},
    {"samples", 0, OPTION_INTEGER, "N", NULL, "256", 1, 1 << 20, "With --elbo: windows of --length tokens.",
     &settings.samples},
    {"seed", 0, OPTION_INTEGER, "N", NULL, "1", 0, 0x1p53, "With --elbo: of all that is random.",
     &settings.seed},
    {"verify", 0, OPTION_TEXT, "DIR", NULL, NULL, 0, 0,
     "Do not attach: check the directory of golden vectors, print lines of JSON.", &settings.verify},
    {"only", 0, OPTION_TEXT, "KIND", NULL, NULL, 0, 0, "With --verify: one kind of check.", &settings.only},
    {0},
};

static const struct option_table options = {
    .program = "millrace-worker",
    .summary = "One rank of a replica: holds a shard of the model and refines texts. Usually started by the "
               "coordinator, "
               "through mpirun; by hand, to attach a replica to a coordinator elsewhere or to measure one.",
    .operands = "",
    .examples =
        "mpirun -n 2 millrace-worker --model models/books-small --coordinator 10.0.0.1:7077 --replica r1\n"
        "mpirun -n 2 millrace-worker --model models/books-small --bench --length 1024 --steps 8",
    .rows = rows,
};

/*
 * SIGTERM and SIGINT stop rank 0 at its next step boundary, and it the others; SIGUSR1, which mpirun passes
 * on, makes it finish what runs first. SIGUSR2 ends the thread that waits for them. The mask is set before
 * any thread starts.
 */
static sigset_t awaited_signals(void)
{
    static const int awaited[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof awaited / sizeof *awaited; i++)
        sigaddset(&set, awaited[i]);
    return set;
}

/* What runs at once: as the options say, or as many texts as are measured together. */
static struct plan_limits choose_limits(void)
{
    int64_t measured = settings.batch * settings.length;
    struct plan_limits limits = {(int)settings.max_sequences, (int)settings.batch_tokens};
    if (settings.bench)
        limits = (struct plan_limits){(int)settings.batch, (int)(measured < 1 << 22 ? measured : 1 << 22)};
    return limits;
}

static struct model_options make_model_options(struct collective *collective, struct meters *meters)
{
    return (struct model_options){.directory = settings.model,
                                  .backend = settings.backend,
                                  .n_threads = (int)settings.threads,
                                  .precision = precision,
                                  .gpu = (int)settings.gpu,
                                  .exchange = settings.collective,
                                  .memory_bytes = memory_bytes,
                                  .collective = collective,
                                  .limits = choose_limits(),
                                  .meters = meters};
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
    sigset_t set = awaited_signals();
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

/* The coordinator gave this replica up, and nothing has moved since. MPI's own end would wait for the rank
 * that hangs. */
static void end_hung(void)
{
    log_error("a rank of this replica hangs: ending it, so that its launcher starts it again");
    if (settings.ready_file)
        unlink(settings.ready_file);
    _exit(1);
}

/* Of files that may turn out to be bad; then the model cannot be opened either, and nobody needs it. */
static void read_fingerprint(char fingerprint[17])
{
    struct error error;
    struct model_config config;
    struct tensors *tensors;
    if (model_config_read(settings.model, &config, &error) != STATUS_OK ||
        tensors_open(settings.model, &tensors, &error) != STATUS_OK)
        return;
    if (tensors_check_model(tensors, &config, &error) == STATUS_OK)
        tensors_fingerprint(tensors, &config, fingerprint);
    tensors_close(tensors);
}

static enum status leader_init(struct leader *leader, const struct meters *meters, int n_ranks,
                               struct error *error)
{
    const struct backend *backend;
    struct error unknown;
    bool found = backend_find(settings.backend, &backend, &unknown) == STATUS_OK;
    *leader = (struct leader){.mailbox = mailbox_create()};
    snprintf(leader->backend, sizeof leader->backend, "%s %s", found ? backend->name : settings.backend,
             precision_text(found ? precision_on(backend, precision) : precision));
    read_fingerprint(leader->fingerprint);
    const struct attach_options attach_options = {.coordinator = settings.coordinator,
                                                  .security = &settings.security,
                                                  .replica = settings.replica,
                                                  .fingerprint = leader->fingerprint,
                                                  .backend = leader->backend,
                                                  .n_ranks = n_ranks,
                                                  .meters = meters,
                                                  .hung_seconds = HUNG_SECONDS,
                                                  .hung = end_hung};
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

static bool serves(void)
{
    return !settings.verify && !settings.bench && !settings.elbo;
}

/* Of a replica that was killed. Every rank of it comes here before any can be ready. */
static void remove_old_ready_file(void)
{
    if (serves() && settings.ready_file && unlink(settings.ready_file) && errno != ENOENT)
        log_error("--ready-file %s: %s", settings.ready_file, strerror(errno));
}

/* For probes and scripts that wait for this replica. */
static void make_ready_file(void)
{
    FILE *file = settings.ready_file ? fopen(settings.ready_file, "we") : NULL;
    if (settings.ready_file && (!file || fclose(file)))
        log_error("--ready-file %s: %s", settings.ready_file, strerror(errno));
}

/* On the CPU an operation is done when its call returns: there is nothing to run ahead of. */
static bool runs_ahead(const struct model *model)
{
    if (strcmp(settings.run_ahead, "auto") == 0)
        return !model->backend->on_host;
    return strcmp(settings.run_ahead, "on") == 0;
}

static enum status lead(struct model *model, struct engine *engine, struct leader *leader,
                        struct error *error)
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
    attach_ready(leader->attach, model->forward.limits, runs_ahead(model), model->load_seconds);
    make_ready_file();
    status = engine_lead(engine, leader->mailbox, &sink, error);
    if (settings.ready_file)
        unlink(settings.ready_file);
    pthread_kill(signal_thread, SIGUSR2);
    pthread_join(signal_thread, NULL);
    return status;
}

/* `leader` on rank 0, else NULL. */
static enum status run_engine(struct model *model, struct leader *leader, struct error *error)
{
    struct engine *engine = NULL;
    enum status status = engine_create(model, model->forward.limits, runs_ahead(model), &engine, error);
    status = collective_agree(model->collective, status, error);
    if (status == STATUS_OK)
        status = leader ? lead(model, engine, leader, error) : engine_follow(engine, error);
    engine_free(engine);
    return status;
}

static enum status load_and_run(struct collective *collective, struct meters *meters, struct leader *leader,
                                struct error *error)
{
    struct model model;
    const struct model_options model_options = make_model_options(collective, meters);
    enum status status = model_open(&model, &model_options, error);
    if (status != STATUS_OK) { /* on all ranks */
        say_why_and_wait(collective, leader, error);
        return status;
    }
    status = run_engine(&model, leader, error);
    model_close(&model);
    return status;
}

/* Serves the coordinator until told to end. */
static enum status serve(struct collective *collective, struct error *error)
{
    static struct meters meters;
    struct leader leader;
    if (collective->rank > 0)
        return load_and_run(collective, &meters, NULL, error);
    enum status status = leader_init(&leader, &meters, collective->n_ranks, error);
    if (status == STATUS_OK)
        status = load_and_run(collective, &meters, &leader, error);
    leader_release(&leader);
    return status;
}

static enum status bench(struct model *model, struct error *error)
{
    int max_length = model->weights.config.max_length;
    if (settings.length > max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT, "--length %lld is more than this model's %d",
                         (long long)settings.length, max_length);
    const struct bench_options bench_options = {.model_name = model->weights.config.name,
                                                .batch = (int)settings.batch,
                                                .length = (int)settings.length,
                                                .n_steps = (int)settings.steps,
                                                .n_threads = (int)settings.threads,
                                                .precision = precision,
                                                .gpu = (int)settings.gpu,
                                                .run_ahead = runs_ahead(model),
                                                .repeats = (int)settings.repeats,
                                                .without_thinning = settings.no_thinning};
    return bench_run(model, &bench_options, error);
}

static enum status elbo(struct model *model, struct error *error)
{
    const struct elbo_options elbo_options = {.path = settings.elbo,
                                              .n_windows = (int)settings.samples,
                                              .length = (int)settings.length,
                                              .seed = (uint64_t)settings.seed};
    return elbo_run(model, &elbo_options, error);
}

/* Without a coordinator: measures, and prints. */
static enum status run_alone(struct collective *collective, struct error *error)
{
    struct model model;
    const struct model_options model_options = make_model_options(collective, NULL);
    enum status status = model_open(&model, &model_options, error);
    if (status != STATUS_OK)
        return status;
    status = settings.elbo ? elbo(&model, error) : bench(&model, error);
    model_close(&model);
    return status;
}

/* A check that fails is an outcome, not a failure to run. */
static enum status verify(struct collective *collective, bool *failed, struct error *error)
{
    const struct verify_options verify_options = {.directory = settings.verify,
                                                  .only = settings.only,
                                                  .backend = settings.backend,
                                                  .precision = precision,
                                                  .gpu = (int)settings.gpu,
                                                  .n_threads = (int)settings.threads,
                                                  .collective = collective};
    struct report report = {.out = stdout};
    enum status status = verify_run(&verify_options, &report, error);
    *failed = report.n_failed > 0;
    return status;
}

static enum status run(struct collective *collective, bool *failed, struct error *error)
{
    if (settings.verify)
        return verify(collective, failed, error);
    if (settings.bench || settings.elbo)
        return run_alone(collective, error);
    return serve(collective, error);
}

static enum status check_choice(const char *option, const char *value, const char *const *choices,
                                struct error *error)
{
    char all[96] = "";
    for (int i = 0; choices[i]; i++) {
        if (strcmp(value, choices[i]) == 0)
            return STATUS_OK;
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", choices[i]);
    }
    return error_set(error, STATUS_INVALID_ARGUMENT, "--%s: \"%.64s\" is none of %s", option, value, all);
}

static int parse(int argc, char **argv)
{
    struct error error;
    bool help = false;
    char **operands;
    int n_operands;
    enum status status = options_parse(&options, argc, argv, &help, &operands, &n_operands, &error);
    if (status == STATUS_OK && !help && !settings.model && !settings.verify)
        status = error_set(&error, STATUS_INVALID_ARGUMENT, "--model is missing; see millrace-worker --help");
    if (status == STATUS_OK)
        status = log_set_format(settings.log_format, &error);
    if (status == STATUS_OK && !help)
        status = precision_parse(settings.precision, &precision, &error);
    if (status == STATUS_OK && !help && settings.gpu_memory)
        status = memory_parse_size(settings.gpu_memory, &memory_bytes, &error);
    if (status == STATUS_OK && !help)
        status = check_choice("collective", settings.collective,
                              (const char *[]){"auto", "mpi", "nccl", NULL}, &error);
    if (status == STATUS_OK && !help)
        status = check_choice("run-ahead", settings.run_ahead, (const char *[]){"auto", "on", "off", NULL},
                              &error);
    if (status != STATUS_OK) {
        fprintf(stderr, "millrace-worker: %s\n", error.text);
        return 2;
    }
    security_options_complete(&settings.security);
    if (help)
        options_print_help(&options, stdout);
    return help ? 0 : -1;
}

/* No other rank is needed to count what they would take. */
static int plan(void)
{
    struct error error;
    const struct memory_print_options print_options = {
        .directory = settings.model,
        .backend = settings.backend,
        .precision = precision,
        .n_ranks = (int)settings.tp,
        .batch = (int)settings.batch,
        .length = (int)settings.length,
        .n_threads = (int)settings.threads,
        .mpi = strcmp(settings.collective, "mpi") == 0,
        .size_bytes = memory_bytes,
        .json = settings.json,
    };
    if (memory_print(&print_options, stdout, &error) == STATUS_OK)
        return 0;
    fprintf(stderr, "millrace-worker: %s\n", error.text);
    return 1;
}

int main(int argc, char **argv)
{
    int parsed = parse(argc, argv);
    if (parsed >= 0)
        return parsed;
    if (settings.plan)
        return plan();
    sigset_t set = awaited_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    remove_old_ready_file();
    int provided;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return 1;
    struct error error = {0};
    struct collective *collective = collective_mpi_create();
    char program[48] = "worker";
    if (collective)
        snprintf(program, sizeof program, "%s.%d", settings.replica, collective->rank);
    log_open(program);
    bool failed = false;
    enum status status = collective ? run(collective, &failed, &error)
                                    : error_set(&error, STATUS_RESOURCE_EXHAUSTED, "no memory to start");
    if (status != STATUS_OK && (!collective || collective->rank == 0))
        log_error("%s", error.text);
    collective_free(collective);
    if (status != STATUS_OK)
        MPI_Abort(MPI_COMM_WORLD, 1); /* the others may wait for this rank for ever */
    MPI_Finalize();
    return failed;
}
