/*
 * millrace-coordinator: the front door of a cluster.
 *
 *   millrace-coordinator --model models/books-small
 *
 * Exit codes: 0 ended by a signal; 1 could not start; 2 bad usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/clock.h"
#include "common/machine/cpus.h"
#include "common/memory_return.h"
#include "common/options.h"
#include "common/output.h"
#include "common/program.h"
#include "common/rpc/health.h"
#include "common/rpc/reflection.h"
#include "coordinator/gate.h"
#include "coordinator/http/door.h"
#include "coordinator/supervision/devices.h"
#include "coordinator/supervision/lifecycle.h"
#include "coordinator/services/probes.h"
#include "coordinator/request/served_model.h"
#include "coordinator/services/services.h"
#include "proto/descriptors.h"

enum {
    MAX_MESSAGE_BYTES = 1 << 20, /* of requests and reports; the longest text is far below */
    /* That mpirun gives its ranks between SIGTERM and SIGKILL. A drain goes over the line to the replica, so
     * a signal means that a rank of the job died or that the drain failed: the ranks that are left hang in an
     * exchange with it, and whoever waits for their texts would wait for this too. */
    GRACE_SECONDS = 0,
    DESCRIPTORS = 65536,
    END_SECONDS = 10,  /* for all that is left to do after a start that failed */
    CLOSE_SECONDS = 2, /* for streams that are ending when the server closes */
};

#define LEAST_ATTACH_SECONDS \
    10.0 /* from the start of mpirun to its leader's hello, before anything is loaded */

static struct {
    const char *listen, *http, *http_trusted_proxies, *http_allow_origin, *metrics, *model, *backend,
        *precision, *ready_file, *log_format, *tls_cert, *tls_key, *tls_client_ca, *tokens;
    bool tls_client_optional;
    int64_t spawn, replicas_per_gpu, ranks, threads, batch_tokens, max_sequences, max_queue, ready_fd,
        max_queue_tokens, client_requests, client_tokens, max_calls, client_calls;
    double drain_seconds, replica_timeout;
} settings;

static const struct option_row rows[] = {
    {"listen", 'l', OPTION_LISTEN, "ADDRESS", "MILLRACE_LISTEN", "127.0.0.1:7077", 0, 0,
     "Where clients and replicas connect: HOST:PORT (port 0: any free one) or unix:PATH.", &settings.listen},
    {"http", 0, OPTION_LISTEN, "ADDRESS", "MILLRACE_HTTP", NULL, 0, 0,
     "Serve OpenAI's API, the page, /metrics, /healthz and /readyz over HTTP at HOST:PORT (port 0: any free "
     "one), with the same certificates and tokens as --listen. Not set: no HTTP.",
     &settings.http},
    {"http-trusted-proxies", 0, OPTION_TEXT, "LIST", "MILLRACE_HTTP_TRUSTED_PROXIES", NULL, 0, 0,
     "Addresses and networks (10.0.0.0/8, ::1) of proxies whose X-Forwarded-For is believed. Not set: none.",
     &settings.http_trusted_proxies},
    {"http-allow-origin", 0, OPTION_TEXT, "ORIGIN", "MILLRACE_HTTP_ALLOW_ORIGIN", NULL, 0, 0,
     "The web pages of this origin (https://example.org; *: any) may use --http. Not set: none but our own.",
     &settings.http_allow_origin},
    {"metrics", 0, OPTION_LISTEN, "ADDRESS", "MILLRACE_METRICS", NULL, 0, 0,
     "Serve /metrics, /healthz and /readyz alone at HOST:PORT, in the clear and to everybody: for watchers "
     "that have no token.",
     &settings.metrics},
    {"model", 'm', OPTION_TEXT, "DIR", "MILLRACE_MODEL", NULL, 0, 0,
     "Directory of the model: config.json, model.safetensors, tokenizer.json.", &settings.model},
    {"spawn", 0, OPTION_INTEGER, "N", "MILLRACE_SPAWN", "-1", -1, 64,
     "Replicas to start on this machine; 0: they attach from elsewhere; -1: as many as its GPUs have room "
     "for, "
     "one on a CPU.",
     &settings.spawn},
    {"replicas-per-gpu", 0, OPTION_INTEGER, "N", "MILLRACE_REPLICAS_PER_GPU", "1", 1, 16,
     "Replicas that share a GPU; each takes its part of the GPU's memory.", &settings.replicas_per_gpu},
    {"ranks", 'n', OPTION_INTEGER, "N", "MILLRACE_RANKS", "0", 0, 256,
     "Ranks (shards) of each replica that is started; 0: one on a GPU, on a CPU one for each core, at most "
     "2.",
     &settings.ranks},
    {"threads", 't', OPTION_INTEGER, "N", "MILLRACE_THREADS", "0", 0, 1024,
     "CPU threads of each rank; 0: the cores divided among all ranks.", &settings.threads},
    {"batch-tokens", 0, OPTION_INTEGER, "N", "MILLRACE_BATCH_TOKENS", "4096", 1, 1 << 22,
     "Tokens of all texts that one replica refines together; raised to the model's longest text.",
     &settings.batch_tokens},
    {"max-sequences", 0, OPTION_INTEGER, "N", "MILLRACE_MAX_SEQUENCES", "64", 1, 65536,
     "Texts that one replica refines together.", &settings.max_sequences},
    {"max-queue", 0, OPTION_INTEGER, "N", "MILLRACE_MAX_QUEUE", "256", 0, 1000000,
     "Requests that may wait; more are refused with RESOURCE_EXHAUSTED.", &settings.max_queue},
    {"max-queue-tokens", 0, OPTION_INTEGER, "N", "MILLRACE_MAX_QUEUE_TOKENS", "1048576", 0, 1e12,
     "Tokens of all texts that may wait; 0: no bound.", &settings.max_queue_tokens},
    {"client-requests", 0, OPTION_INTEGER, "N", "MILLRACE_CLIENT_REQUESTS", "0", 0, 1e9,
     "Requests that one client may have waiting and running; 0: no limit. A token may have its own.",
     &settings.client_requests},
    {"client-tokens", 0, OPTION_INTEGER, "N", "MILLRACE_CLIENT_TOKENS", "0", 0, 1e12,
     "Tokens of the texts that one client may have waiting and running; 0: no limit.",
     &settings.client_tokens},
    {"max-calls", 0, OPTION_INTEGER, "N", "MILLRACE_MAX_CALLS", "8192", 1, 1000000,
     "Calls of all clients that may be open at once; more are refused with RESOURCE_EXHAUSTED.",
     &settings.max_calls},
    {"client-calls", 0, OPTION_INTEGER, "N", "MILLRACE_CLIENT_CALLS", "0", 0, 1000000,
     "Calls of one client that may be open at once; 0: half of --max-calls.", &settings.client_calls},
    {"backend", 0, OPTION_TEXT, "NAME", "MILLRACE_BACKEND", "auto", 0, 0,
     "What the ranks compute on: cpu, cuda, or auto, the best that runs here.", &settings.backend},
    {"precision", 0, OPTION_TEXT, "NAME", "MILLRACE_PRECISION", "auto", 0, 0,
     "What they compute in: f32, bf16, int8 (CPU), fp8 (GPU), or auto: f32 on a CPU, bf16 on a GPU.",
     &settings.precision},
    {"replica-timeout", 0, OPTION_REAL, "SECONDS", "MILLRACE_REPLICA_TIMEOUT", "15", 1, 86400,
     "A replica in which nothing moves for so long is given up (8 times as long while it loads).",
     &settings.replica_timeout},
    {"drain-seconds", 0, OPTION_REAL, "SECONDS", "MILLRACE_DRAIN_SECONDS", "30", 0, 86400,
     "After SIGTERM, how long accepted requests may take to finish.", &settings.drain_seconds},
    {"log-format", 0, OPTION_TEXT, "FORMAT", "MILLRACE_LOG_FORMAT", "text", 0, 0,
     "text, for people, or json: one object a line. Replicas that are started here do the same.",
     &settings.log_format},
    {"tls-cert", 0, OPTION_TEXT, "FILE", "MILLRACE_TLS_CERT", NULL, 0, 0,
     "Serve with TLS: this server's certificate in PEM form, with those between it and its authority behind "
     "it. "
     "Read again when it changes.",
     &settings.tls_cert},
    {"tls-key", 0, OPTION_TEXT, "FILE", "MILLRACE_TLS_KEY", NULL, 0, 0, "Its private key in PEM form.",
     &settings.tls_key},
    {"tls-client-ca", 0, OPTION_TEXT, "FILE", "MILLRACE_TLS_CLIENT_CA", NULL, 0, 0,
     "Let in only clients and replicas with a certificate of these authorities (PEM).",
     &settings.tls_client_ca},
    {"tls-client-optional", 0, OPTION_FLAG, NULL, "MILLRACE_TLS_CLIENT_OPTIONAL", NULL, 0, 0,
     "With --tls-client-ca and --tokens: whoever shows no certificate may show a token.",
     &settings.tls_client_optional},
    {"tokens", 0, OPTION_TEXT, "FILE", "MILLRACE_TOKENS", NULL, 0, 0,
     "Let in only whom FILE names: JSON with the SHA-256 of each token, its scopes and limits (`millrace "
     "token` writes "
     "it). Read again when it changes.",
     &settings.tokens},
    {"ready-file", 0, OPTION_TEXT, "PATH", "MILLRACE_READY_FILE", NULL, 0, 0,
     "When the first replica is ready, write the address that is listened on to this file. An old one is "
     "removed at start.",
     &settings.ready_file},
    {"ready-fd", 0, OPTION_INTEGER, "N", NULL, "-1", -1, 1 << 20,
     "The same to an open descriptor. With either, a start that cannot succeed ends the program.",
     &settings.ready_fd},
    {0},
};

static const struct option_table options = {
    .program = "millrace-coordinator",
    .summary = "Serves a model: takes requests, hands them to replicas, and streams their frames back. "
               "Starts its own "
               "replicas unless told otherwise.",
    .operands = "",
    .examples = "millrace-coordinator --model models/books-small\n"
                "millrace-coordinator --model models/books-small --listen 0.0.0.0:7077 --spawn 0",
    .rows = rows,
};

/* Names for health and reflection. */
static const char *const service_names[] = {"millrace.v1.Millrace",
                                            "inference.GRPCInferenceService",
                                            "millrace.replica.v1.Replicas",
                                            "grpc.health.v1.Health",
                                            "grpc.reflection.v1alpha.ServerReflection",
                                            "grpc.reflection.v1.ServerReflection",
                                            NULL};

/* Everything that lives as long as the process. */
struct process {
    struct served_model model;
    struct metrics *metrics;
    struct coordinator coordinator;
    struct health *health;
    struct reflection *reflection;
    long descriptors; /* that we were given */
    struct gate_options gate_options;
    struct gate gate;
    struct rpc_server *server;
    struct door *door;
    struct http_server *watchers;
    struct launch_options launch;
    char worker[PATH_MAX];
    struct lifecycle lifecycle;
};

/* ---- starting ---- */

/* Each connection takes a descriptor, and most systems give 1,024 until they are asked. Returns what it was.
 */
static long raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return 0;
    long before = limit.rlim_cur < LONG_MAX ? (long)limit.rlim_cur : 0;
    if (limit.rlim_cur < DESCRIPTORS) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    return before;
}

/* Before any thread: all inherit the mask, and the main thread reads the signals from a file. */
static enum status take_signals(struct lifecycle *lifecycle, struct error *error)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP); /* a terminal that closes; nohup keeps it from us */
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* ranks whose launcher dies become our children (spawn.c) */
    lifecycle->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    lifecycle->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (lifecycle->signals < 0 || lifecycle->wake < 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no descriptors for signals: %s", strerror(errno));
    return STATUS_OK;
}

/* Whoever waits at the other end must see it close when we end, not when our children do. */
static enum status take_readiness(struct readiness *readiness, struct error *error)
{
    *readiness = (struct readiness){.file = settings.ready_file, .descriptor = (int)settings.ready_fd};
    if (readiness->descriptor >= 0 && fcntl(readiness->descriptor, F_SETFD, FD_CLOEXEC))
        return error_set(error, STATUS_INVALID_ARGUMENT, "--ready-fd %d: %s", readiness->descriptor,
                         strerror(errno));
    return STATUS_OK;
}

static void observe(void *metrics, const struct scheduler_event *event)
{
    metrics_observe(metrics, event);
}

static enum status create_scheduler(struct process *process, struct error *error)
{
    process->metrics = metrics_create();
    const struct scheduler_options scheduler_options = {
        .max_queue = (int)settings.max_queue,
        .max_queue_tokens = settings.max_queue_tokens,
        .client_requests = settings.client_requests,
        .client_tokens = settings.client_tokens,
        .n_ids = process->model.config.n_ids,
        .silence_seconds = settings.replica_timeout,
        .observer = {observe, process->metrics},
        .changed = lifecycle_wake,
        .context = &process->lifecycle.wake,
    };
    process->lifecycle.scheduler = scheduler_create(&scheduler_options);
    process->coordinator = (struct coordinator){.model = &process->model,
                                                .scheduler = process->lifecycle.scheduler,
                                                .metrics = process->metrics,
                                                .offload = offload_create(),
                                                .started_at = clock_seconds()};
    process->coordinator.precision = settings.precision;
    http_counts_init(&process->coordinator.http);
    pthread_mutex_init(&process->coordinator.refusals_lock, NULL);
    if (process->lifecycle.scheduler && process->metrics && process->coordinator.offload)
        return STATUS_OK;
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the scheduler");
}

static const char *none_if_empty(const char *text)
{
    return text && *text ? text : NULL;
}

static enum status open_gate(struct process *process, struct error *error)
{
    process->gate_options = (struct gate_options){
        .tls_cert = none_if_empty(settings.tls_cert),
        .tls_key = none_if_empty(settings.tls_key),
        .tls_client_ca = none_if_empty(settings.tls_client_ca),
        .tls_client_optional = settings.tls_client_optional,
        .has_own_replicas = settings.spawn > 0,
        .tokens = none_if_empty(settings.tokens),
    };
    return gate_open(&process->gate, &process->gate_options, error);
}

static void count_refusal(const char *path, void *context)
{
    if (!strcmp(path, "/millrace.v1.Millrace/Generate") ||
        !strncmp(path, "/inference.GRPCInferenceService/", strlen("/inference.GRPCInferenceService/")))
        metrics_count_unauthorised(context);
}

static void begin_batch(void *scheduler)
{
    scheduler_hold(scheduler);
}

static bool has_more_to_decide(void *scheduler)
{
    return scheduler_is_undecided(scheduler);
}

static void end_batch(void *scheduler)
{
    scheduler_settle(scheduler);
}

static enum status open_server(struct process *process, struct error *error)
{
    process->health = health_create(service_names);
    if (!process->health)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the health service");
    enum status status = reflection_create(proto_descriptors, proto_descriptors_size, service_names,
                                           &process->reflection, error);
    if (status != STATUS_OK)
        return status;
    const struct rpc_service services[] = {
        millrace_service(&process->coordinator), inference_service(&process->coordinator),
        replicas_service(&process->coordinator), health_service(process->health),
        reflection_service(process->reflection), {0},
    };
    struct rpc_server_options server_options = {
        .address = settings.listen,
        .services = services,
        .refusals = {count_refusal, process->metrics},
        .batch = {begin_batch, has_more_to_decide, end_batch, process->lifecycle.scheduler},
        .max_message_bytes = MAX_MESSAGE_BYTES,
        .max_calls = (int)settings.max_calls,
        .max_caller_calls = (int)settings.client_calls};
    gate_server_options(&process->gate, &server_options);
    status = rpc_server_open(&server_options, &process->server, error);
    if (status != STATUS_OK)
        return status;
    process->coordinator.server = process->server;
    log_info("serving %s on %s", process->model.config.name, rpc_server_address(process->server));
    return STATUS_OK;
}

static enum status open_door(struct process *process, struct error *error)
{
    const struct gate *gate = &process->gate;
    const struct door_options door_options = {
        .address = settings.http,
        .coordinator = &process->coordinator,
        .access = gate->access,
        .tls = gate->is_tls ? &gate->tls : NULL,
        .trusted_proxies = settings.http_trusted_proxies,
        .allow_origin = none_if_empty(settings.http_allow_origin),
    };
    const char *scheme = gate->is_tls ? "https" : "http";
    if (!settings.http)
        return STATUS_OK;
    enum status status = door_open(&door_options, &process->door, error);
    if (status != STATUS_OK)
        return status;
    log_info("the page and OpenAI's API at %s://%s/", scheme, door_address(process->door));
    log_info("metrics at %s://%s/metrics", scheme, door_address(process->door));
    return STATUS_OK;
}

static enum status open_watchers(struct process *process, struct error *error)
{
    const struct http_options http_options = {
        .address = settings.metrics, .pages = probe_pages, .context = &process->coordinator};
    if (!settings.metrics)
        return STATUS_OK;
    enum status status = http_server_open(&http_options, &process->watchers, error);
    if (status == STATUS_OK)
        log_info("metrics at http://%s/metrics", http_server_address(process->watchers));
    return status;
}

static int choose_ranks(int cores, int n_gpus)
{
    if (settings.ranks)
        return (int)settings.ranks;
    return n_gpus > 0 ? 1 : cores < 2 ? cores : 2;
}

/* Every GPU is used: a replica is as many of them as it has ranks. */
static int choose_replicas(int n_ranks, int n_gpus)
{
    enum { MOST = 64 };
    int n = n_gpus / n_ranks * (int)settings.replicas_per_gpu;
    if (settings.spawn >= 0)
        return (int)settings.spawn;
    return n < 1 ? 1 : n < MOST ? n : MOST;
}

/* Counts GPUs only where that decides something: it takes a second. */
static enum status choose_size(struct process *process, struct error *error)
{
    if (settings.spawn == 0)
        return STATUS_OK;
    enum status status = program_beside("millrace-worker", process->worker, sizeof process->worker, error);
    if (status != STATUS_OK)
        return status;
    bool asks = settings.spawn < 0 || settings.ranks == 0;
    int n_gpus = asks ? devices_count(process->worker, settings.backend) : 0;
    settings.ranks = choose_ranks(cpus_for_computing(cpus_here()), n_gpus);
    settings.spawn = choose_replicas((int)settings.ranks, n_gpus);
    if (n_gpus > 0)
        log_info("%d GPUs: %d replicas of %d ranks", n_gpus, (int)settings.spawn, (int)settings.ranks);
    return STATUS_OK;
}

static struct launch_options choose_launch(const struct process *process)
{
    const char *mpirun = getenv("MILLRACE_MPIRUN");
    int cores = cpus_for_computing(cpus_here()), n_ranks = (int)settings.ranks;
    int all_ranks = n_ranks * (int)settings.spawn;
    int n_threads = settings.threads ? (int)settings.threads : cores / all_ranks;
    int longest = process->model.config.max_length;
    return (struct launch_options){
        .mpirun = mpirun && *mpirun ? mpirun : "mpirun",
        .worker = process->worker,
        .model = settings.model,
        .address = process->gate.private_address,
        .token = process->gate.access ? process->gate.private_token : NULL,
        .backend = settings.backend,
        .precision = settings.precision,
        .log_format = settings.log_format,
        .descriptors = process->descriptors,
        .n_ranks = n_ranks,
        .replicas_per_gpu = (int)settings.replicas_per_gpu,
        .n_threads = n_threads > 0 ? n_threads : 1,
        .batch_tokens = settings.batch_tokens > longest ? (int)settings.batch_tokens : longest,
        .max_sequences = (int)settings.max_sequences,
        /* Launchers know nothing of each other: each would bind to the same first cores. So only ranks that
         * take all cores are bound, and several threads never, to one. */
        .bind_to_core = settings.spawn == 1 && n_threads == 1 && n_ranks == cores,
        .oversubscribe = all_ranks * (n_threads > 0 ? n_threads : 1) > cores,
        .grace_seconds = GRACE_SECONDS,
    };
}

static enum status prepare_spawn(struct process *process, struct error *error)
{
    if (!settings.spawn)
        return STATUS_OK;
    process->launch = choose_launch(process);
    double attach_seconds = fmax(LEAST_ATTACH_SECONDS, 2 * settings.replica_timeout);
    process->lifecycle.spawn =
        spawn_create(&process->launch, (int)settings.spawn, attach_seconds, process->lifecycle.scheduler);
    if (process->lifecycle.spawn)
        return STATUS_OK;
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d replicas", (int)settings.spawn);
}

static enum status start(struct process *process, struct error *error)
{
    process->descriptors = raise_descriptors();
    enum status status = take_signals(&process->lifecycle, error);
    if (status == STATUS_OK)
        status = log_queue_lines(error); /* replicas are logged under the scheduler's lock */
    if (status == STATUS_OK)
        status = take_readiness(&process->lifecycle.readiness, error);
    if (status == STATUS_OK)
        status = served_model_open(settings.model, &process->model, error);
    if (status == STATUS_OK)
        status = choose_size(process, error);
    if (status == STATUS_OK)
        status = create_scheduler(process, error);
    if (status == STATUS_OK)
        status = open_gate(process, error);
    if (status == STATUS_OK)
        status = open_server(process, error);
    if (status == STATUS_OK)
        status = open_door(process, error);
    if (status == STATUS_OK)
        status = open_watchers(process, error);
    if (status == STATUS_OK)
        status = gate_watch(&process->gate, &process->gate_options, process->server, process->door, error);
    return status == STATUS_OK ? prepare_spawn(process, error) : status;
}

static void beat(void *coordinator)
{
    probes_beat(coordinator);
    memory_return();
}

static int run(struct process *process)
{
    struct lifecycle *lifecycle = &process->lifecycle;
    lifecycle->health = process->health;
    lifecycle->server = process->server;
    lifecycle->turned = beat;
    lifecycle->context = &process->coordinator;
    lifecycle->address = rpc_server_address(process->server);
    if (settings.ready_file)
        unlink(settings.ready_file); /* of a coordinator that ended: this one has its address now */
    lifecycle->drain_seconds = settings.drain_seconds;
    lifecycle->grace_seconds = GRACE_SECONDS;
    return lifecycle_run(lifecycle);
}

static void stop(struct process *process)
{
    gate_stop_watching(&process->gate);
    offload_close(process->coordinator.offload);
    if (process->lifecycle.scheduler)
        scheduler_hang_up_all(process->lifecycle.scheduler,
                              "this coordinator is leaving; the next one at its address takes over");
    rpc_server_close(process->server, CLOSE_SECONDS);
    door_close(process->door);
    offload_free(process->coordinator.offload);
    http_server_close(process->watchers);
    gate_close(&process->gate);
    health_free(process->health);
    reflection_free(process->reflection);
    spawn_free(process->lifecycle.spawn);
    scheduler_free(process->lifecycle.scheduler);
    metrics_free(process->metrics);
    served_model_close(&process->model);
}

/* gRPC can hang when it is taken down without memory or threads, and our signals are only read later. */
static void end_at_once(int signal_number)
{
    static const char line[] = "millrace-coordinator: cannot end cleanly, for want of memory or threads\n";
    (void)signal_number;
    ssize_t written = write(STDERR_FILENO, line, sizeof line - 1);
    (void)written;
    _exit(1);
}

static int parse(int argc, char **argv)
{
    struct error error;
    bool help = false;
    char **operands;
    int n_operands;
    enum status status = options_parse(&options, argc, argv, &help, &operands, &n_operands, &error);
    if (status == STATUS_OK && !help && !settings.model)
        status =
            error_set(&error, STATUS_INVALID_ARGUMENT, "--model is missing; see millrace-coordinator --help");
    if (status == STATUS_OK && settings.client_calls > settings.max_calls)
        status = error_set(&error, STATUS_INVALID_ARGUMENT,
                           "--client-calls %lld is above --max-calls %lld, which bounds all clients together",
                           (long long)settings.client_calls, (long long)settings.max_calls);
    if (status == STATUS_OK)
        status = log_set_format(settings.log_format, &error);
    if (status != STATUS_OK) {
        fprintf(stderr, "millrace-coordinator: %s\n", error.text);
        return 2;
    }
    if (help)
        options_print_help(&options, stdout);
    return help ? 0 : -1;
}

int main(int argc, char **argv)
{
    static struct process process;
    struct error error;
    program_begin(false);
    memory_return_prepare();
    int parsed = parse(argc, argv);
    if (parsed >= 0)
        return output_finish(options.program, parsed);
    log_open("coordinator");
    int code = 1;
    if (start(&process, &error) == STATUS_OK)
        code = run(&process);
    else
        log_error("%s", error.text);
    signal(SIGALRM, end_at_once);
    alarm(code ? END_SECONDS : 0);
    stop(&process);
    log_info("ended");
    log_close();
    return code;
}
