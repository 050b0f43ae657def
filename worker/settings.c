/* The worker's options. */
#include "worker/settings.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/options.h"
#include "common/memory_bounds.h"
#include "kernels/precision.h"

static struct settings given; /* the table below points into it */

static const struct option_row rows[] = {
    {"model", 'm', OPTION_TEXT, "DIR", "MILLRACE_MODEL", NULL, 0, 0,
     "Directory of the model: config.json, model.safetensors.", &given.model},
    {"coordinator", 'c', OPTION_ENDPOINT, "ADDRESS", "MILLRACE_COORDINATOR", "127.0.0.1:7077", 0, 0,
     "Where the coordinator listens.", &given.coordinator},
    {"replica", 0, OPTION_TEXT, "NAME", "MILLRACE_REPLICA", "r0", 0, 0,
     "Name of this replica, unique in the cluster.", &given.replica},
    {"ready-file", 0, OPTION_TEXT, "PATH", "MILLRACE_READY_FILE", NULL, 0, 0,
     "Make this file when every rank has loaded and a warm-up step is done; it goes when the replica ends, "
     "or, where it was killed, when it starts again. Its time is renewed every second while the ranks move: "
     "an old one is of a replica that hangs.",
     &given.ready_file},
    SECURITY_OPTION_ROWS(given.security),
    {"backend", 0, OPTION_TEXT, "NAME", "MILLRACE_BACKEND", "auto", 0, 0,
     "cpu, cuda, or auto: the best that runs here.", &given.backend},
    {"precision", 0, OPTION_TEXT, "NAME", "MILLRACE_PRECISION", "auto", 0, 0,
     "f32, bf16, int8 (CPU) or fp8 (GPU) of the large weights and what flows between them; auto: f32 on a "
     "CPU, "
     "bf16 on a GPU.",
     &given.precision},
    {"gpu", 0, OPTION_INTEGER, "N", "MILLRACE_GPU", "-1", -1, 1023,
     "Which GPU of the machine; -1: the rank's number there, modulo how many there are.", &given.gpu},
    {"gpu-first", 0, OPTION_INTEGER, "N", "MILLRACE_GPU_FIRST", "0", 0, 1023,
     "The first GPU of this replica: rank i there takes GPU N + i. Where N is 0, more ranks than GPUs share "
     "them.",
     &given.gpu_first},
    {"devices", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
     "Do not attach: print the backend and how many devices it sees.", &given.devices},
    {"collective", 0, OPTION_TEXT, "NAME", "MILLRACE_COLLECTIVE", "auto", 0, 0,
     "How ranks sum what they computed: shm (memory that the ranks of one machine share), mpi, nccl (GPUs), "
     "or auto: "
     "shm or nccl where they can be had, else mpi.",
     &given.collective},
    {"threads", 't', OPTION_INTEGER, "N", "MILLRACE_THREADS", "1", 1, 1024, "CPU threads of each rank.",
     &given.threads},
    {"batch-tokens", 0, OPTION_INTEGER, "N", "MILLRACE_BATCH_TOKENS", "4096", 1, 1 << 22,
     "Tokens of all running sequences together; raised to the model's longest text.", &given.batch_tokens},
    {"max-sequences", 0, OPTION_INTEGER, "N", "MILLRACE_MAX_SEQUENCES", "64", 1, 65536,
     "Sequences that run at the same time.", &given.max_sequences},
    {"warm-up", 0, OPTION_INTEGER, "TOKENS", "MILLRACE_WARM_UP", "0", 0, MEMORY_LENGTH_MAX,
     "Tokens of the text that is written before the replica is ready; 0: few on a CPU, the longest text on a "
     "GPU, which loads its kernels then.",
     &given.warm_up},
    {"log-format", 0, OPTION_TEXT, "FORMAT", "MILLRACE_LOG_FORMAT", "text", 0, 0,
     "text, for people, or json: one object a line.", &given.log_format},
    {"gpu-memory", 0, OPTION_TEXT, "SIZE", "MILLRACE_GPU_MEMORY", NULL, 0, 0,
     "What a rank may take: 40GiB, or 0.45 of its GPU. Without it: 0.92 of what its GPU has free, or on a "
     "CPU "
     "its share of the machine's memory with the replica's other ranks there. More is refused at start.",
     &given.gpu_memory},
    {"plan", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
     "Do not attach: print what a rank would take, for --tp ranks and --batch texts of --length.",
     &given.plan},
    {"tp", 0, OPTION_INTEGER, "N", NULL, "1", 1, MEMORY_RANKS_MAX, "With --plan: ranks.", &given.tp},
    {"json", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "With --plan: one JSON object.", &given.json},
    {"run-ahead", 0, OPTION_TEXT, "auto|on|off", "MILLRACE_RUN_AHEAD", "auto", 0, 0,
     "Hand the device a step before the outcome of the last is read; auto: where it has memory of its own.",
     &given.run_ahead},
    {"bench", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
     "Do not attach: write texts, measure, print a line of JSON.", &given.bench},
    {"batch", 'b', OPTION_INTEGER, "N", NULL, "1", 1, MEMORY_BATCH_MAX,
     "With --bench and --plan: texts that are written together.", &given.batch},
    {"length", 'l', OPTION_INTEGER, "N", NULL, "1024", 1, MEMORY_LENGTH_MAX,
     "With --bench, --plan and --elbo: tokens of a text.", &given.length},
    {"steps", 's', OPTION_INTEGER, "N", NULL, "8", 1, 1 << 16, "With --bench: refinement steps.",
     &given.steps},
    {"repeats", 0, OPTION_INTEGER, "N", NULL, "3", 1, 1000,
     "With --bench: times to write them; the fastest counts.", &given.repeats},
    {"ceiling", 0, OPTION_REAL, "GFLOPS", NULL, "0", 0, 1e9,
     "With --bench: the rate of a large product on all ranks, if it is known; 0: measure it.",
     &given.ceiling},
    {"phases", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
     "With --bench: wait for a GPU after each phase, to learn its share; slower in all.", &given.phases},
    {"no-thinning", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
     "With --bench: logits for every position, also where it cannot change; the same text, for comparison.",
     &given.no_thinning},
    {"elbo", 0, OPTION_TEXT, "FILE", NULL, NULL, 0, 0,
     "Do not attach: bound the bits that a text costs, its token ids in FILE, and print a line of JSON.",
     &given.elbo},
    {"samples", 0, OPTION_INTEGER, "N", NULL, "256", 1, 1 << 20, "With --elbo: windows of --length tokens.",
     &given.samples},
    {"seed", 0, OPTION_INTEGER, "N", NULL, "1", 0, 0x1p53, "With --elbo: of all that is random.",
     &given.seed},
    {"verify", 0, OPTION_TEXT, "DIR", NULL, NULL, 0, 0,
     "Do not attach: check the directory of golden vectors, print lines of JSON.", &given.verify},
    {"converted", 0, OPTION_TEXT, "DIR", NULL, NULL, 0, 0,
     "With --verify of a published family: model directories that were made of its checkpoints.",
     &given.converted},
    {"only", 0, OPTION_TEXT, "KIND", NULL, NULL, 0, 0, "With --verify: one kind of check.", &given.only},
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

int settings_parse(int argc, char **argv, const struct settings **parsed)
{
    struct error error;
    bool help = false;
    char **operands;
    int n_operands;
    enum status status = options_parse(&options, argc, argv, &help, &operands, &n_operands, &error);
    if (status == STATUS_OK && !help && !given.model && !given.verify && !given.devices)
        status = error_set(&error, STATUS_INVALID_ARGUMENT, "--model is missing; see millrace-worker --help");
    if (status == STATUS_OK)
        status = log_set_format(given.log_format, &error);
    if (status == STATUS_OK && !help)
        status = precision_parse(given.precision, &given.numbers, &error);
    if (status == STATUS_OK && !help && given.gpu_memory)
        status = memory_parse_share(given.gpu_memory, &given.memory, &error);
    if (status == STATUS_OK && !help)
        status = check_choice("collective", given.collective,
                              (const char *[]){"auto", "shm", "mpi", "nccl", NULL}, &error);
    if (status == STATUS_OK && !help)
        status =
            check_choice("run-ahead", given.run_ahead, (const char *[]){"auto", "on", "off", NULL}, &error);
    if (status != STATUS_OK) {
        fprintf(stderr, "millrace-worker: %s\n", error.text);
        return 2;
    }
    security_options_complete(&given.security);
    if (help)
        options_print_help(&options, stdout);
    *parsed = &given;
    return help ? 0 : -1;
}

bool settings_serve(const struct settings *settings)
{
    return !settings->verify && !settings->bench && !settings->elbo;
}

/* What runs at once: as the options say, or as many texts as are measured together. */
static struct plan_limits choose_limits(const struct settings *settings)
{
    int64_t measured = settings->batch * settings->length;
    struct plan_limits limits = {(int)settings->max_sequences, (int)settings->batch_tokens};
    if (settings->bench)
        limits = (struct plan_limits){(int)settings->batch, (int)(measured < 1 << 22 ? measured : 1 << 22)};
    return limits;
}

int settings_gpu(const struct settings *settings, const struct collective *collective)
{
    if (settings->gpu >= 0 || settings->gpu_first == 0)
        return (int)settings->gpu;
    return (int)settings->gpu_first + collective->local_rank;
}

struct model_options settings_model(const struct settings *settings, struct collective *collective,
                                    struct meters *meters)
{
    return (struct model_options){.directory = settings->model,
                                  .backend = settings->backend,
                                  .n_threads = (int)settings->threads,
                                  .precision = settings->numbers,
                                  .gpu = settings_gpu(settings, collective),
                                  .exchange = settings->collective,
                                  .memory = settings->memory,
                                  .collective = collective,
                                  .limits = choose_limits(settings),
                                  .meters = meters};
}

/* On the CPU an operation is done when its call returns: there is nothing to run ahead of. */
bool settings_run_ahead(const struct settings *settings, const struct model *model)
{
    if (strcmp(settings->run_ahead, "auto") == 0)
        return !model->backend->on_host;
    return strcmp(settings->run_ahead, "on") == 0;
}
