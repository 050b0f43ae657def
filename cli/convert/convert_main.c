#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/convert/convert.h"
#include "common/model/network.h"

static const char program[] = "millrace convert";

/* What the command line says, before it is turned into convert_options. */
struct typed {
    const char *weights, *family, *config, *tokenizer, *name, *source, *dtype;
    int64_t n_heads, trained_length, max_length, default_steps, max_steps;
    double exponent;
};

/* A progress line on the terminal. It appears after a second and is renewed at most ten times a second. */
struct progress {
    struct timespec next;
    bool shown;
};

static void show_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct progress *progress = context;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec < progress->next.tv_sec ||
        (now.tv_sec == progress->next.tv_sec && now.tv_nsec < progress->next.tv_nsec))
        return;
    progress->next = now;
    progress->next.tv_nsec += 100000000;
    progress->next.tv_sec += progress->next.tv_nsec / 1000000000;
    progress->next.tv_nsec %= 1000000000;
    progress->shown = true;
    fprintf(stderr, "\rconverting: %3d %% of %" PRIu64 " MB",
            (int)(100.0 * (double)done_bytes / (double)total_bytes), total_bytes / 1000000);
}

/* Parses as command_options does. */
static int parse(struct typed *typed, int argc, char **argv, char ***operands, int *n_operands)
{
    const struct option_row rows[] = {
        {"weights", 'w', OPTION_TEXT, "WHICH", NULL, NULL, 0, 0,
         "which network: ema, student, teacher or model; of another's network ema or raw.\nDefault: the "
         "first of "
         "these that the file has",
         &typed->weights, NULL},
        {"family", 'f', OPTION_TEXT, "NAME", NULL, NULL, 0, 0,
         "the network of another: mdlm, sedd, duo, udlm, gidd or bd3lm (millrace models).\nDefault: as its "
         "config.json says",
         &typed->family, NULL},
        {"config", 'c', OPTION_TEXT, "FILE", NULL, NULL, 0, 0,
         "its published config.json. Default: the one beside a pytorch_model.bin", &typed->config, NULL},
        {"tokenizer", 't', OPTION_TEXT, "FILE", NULL, NULL, 0, 0,
         "the tokenizer.json to copy beside the weights", &typed->tokenizer, NULL},
        {"name", 'n', OPTION_TEXT, "NAME", NULL, NULL, 0, 0, "the model's name. Default: the directory's",
         &typed->name},
        {"source", 0, OPTION_TEXT, "KIND", NULL, NULL, 0, 0,
         "uniform or mask. Default: mask for a model of 50258 rows, else uniform", &typed->source},
        {"exponent", 0, OPTION_REAL, "X", NULL, "1", 0.01, 64,
         "of the scheduler that it was trained with, κ(t) = t^X", &typed->exponent},
        {"trained-length", 0, OPTION_INTEGER, "N", NULL, "1024", 1, 65536, "tokens of a training sequence",
         &typed->trained_length},
        {"max-length", 0, OPTION_INTEGER, "N", NULL, "1024", 1, 65536, "the longest sequence to serve",
         &typed->max_length},
        {"default-steps", 0, OPTION_INTEGER, "N", NULL, "8", 1, 65536,
         "steps of a request that asks for none", &typed->default_steps},
        {"max-steps", 0, OPTION_INTEGER, "N", NULL, "1024", 1, 65536, "the most steps a request may ask for",
         &typed->max_steps},
        {"heads", 0, OPTION_INTEGER, "N", NULL, "0", 0, 1024,
         "attention heads, for a file without the rotary buffer. 0: told from that", &typed->n_heads},
        {"dtype", 0, OPTION_TEXT, "FORMAT", NULL, "f32", 0, 0, "of the matrices: f32 or bf16", &typed->dtype},
        {NULL},
    };
    const struct option_table table = {
        program,
        "Turns a checkpoint of the FS-DFM reference implementation, or of a published network of others\n"
        "(.pth, .ckpt, pytorch_model.bin), into a model directory\n"
        "(config.json, model.safetensors, tokenizer.json). The checkpoint is read as data: nothing in it "
        "runs.",
        "CHECKPOINT.pth DIRECTORY",
        "millrace convert checkpoint.pth fs-dfm-0.17b --tokenizer gpt2/tokenizer.json\n"
        "millrace convert checkpoint.pth teacher --weights teacher --tokenizer gpt2/tokenizer.json\n"
        "millrace convert mdlm/pytorch_model.bin mdlm-owt --tokenizer gpt2/tokenizer.json\n"
        "millrace convert duo.ckpt duo --family duo --tokenizer gpt2/tokenizer.json",
        rows,
        2,
    };
    return command_options(&table, argc, argv, operands, n_operands);
}

/* Index of `text` among two choices. */
static enum status pick(const char *option, const char *text, const char *first, const char *second,
                        bool *is_second, struct error *error)
{
    *is_second = strcmp(text, second) == 0;
    if (*is_second || strcmp(text, first) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "--%s is \"%s\"; it must be %s or %s", option, text,
                     first, second);
}

static enum status fill_options(const struct typed *typed, char **operands, int n_operands,
                                struct convert_options *options, struct error *error)
{
    bool is_mask = false, is_bf16 = false;
    if (n_operands != 2)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "give the checkpoint and the directory to make: millrace convert CHECKPOINT.pth DIRECTORY");
    enum status status = pick("dtype", typed->dtype, "f32", "bf16", &is_bf16, error);
    if (!status && typed->source)
        status = pick("source", typed->source, "uniform", "mask", &is_mask, error);
    if (status)
        return status;
    *options = (struct convert_options){
        .checkpoint = operands[0],
        .directory = operands[1],
        .weights = typed->weights,
        .family = typed->family,
        .config = typed->config,
        .tokenizer = typed->tokenizer,
        .name = typed->name,
        .source_given = typed->source != NULL,
        .source = is_mask ? SOURCE_MASK : SOURCE_UNIFORM,
        .n_heads = (int)typed->n_heads,
        .exponent = typed->exponent,
        .trained_length = (int)typed->trained_length,
        .max_length = (int)typed->max_length,
        .default_steps = (int)typed->default_steps,
        .max_steps = (int)typed->max_steps,
        .dtype = is_bf16 ? DTYPE_BF16 : DTYPE_F32,
    };
    return STATUS_OK;
}

static void print_report(const struct convert_options *options, const struct convert_report *report)
{
    const struct model_config *config = &report->config;
    printf("%s: %s of %s", options->directory, report->entry, options->checkpoint);
    if (report->step >= 0)
        printf(", step %" PRId64, report->step);
    printf("\n  the file offers %s\n", report->offered);
    printf("  %s, %s source, vocabulary %d, width %d, %d heads, %d blocks, condition %d\n",
           architecture_name(config->architecture), source_name(config->source), config->vocabulary,
           config->hidden, config->n_heads, config->n_blocks, config->condition);
    printf("  %.2f million parameters, %.1f MB, fingerprint %s\n",
           (double)model_config_parameters(config) / 1e6, (double)report->file_bytes / 1e6,
           report->fingerprint);
    if (!options->tokenizer)
        printf("  no tokenizer.json: text requests need one (--tokenizer)\n");
}

int convert_main(int argc, char **argv)
{
    struct typed typed = {0};
    struct convert_options options;
    struct convert_report report;
    struct error error;
    struct progress progress = {0};
    char **operands;
    int n_operands;
    int code = parse(&typed, argc, argv, &operands, &n_operands);
    if (code >= 0)
        return code;
    if (fill_options(&typed, operands, n_operands, &options, &error) != STATUS_OK)
        return command_refuse(program, &error);
    clock_gettime(CLOCK_MONOTONIC, &progress.next);
    progress.next.tv_sec++;
    options.progress = isatty(STDERR_FILENO) ? show_progress : NULL;
    options.progress_context = &progress;
    enum status status = convert_checkpoint(&options, &report, &error);
    if (progress.shown)
        fputs("\r\033[K", stderr);
    if (status) {
        command_refuse(program, &error);
        return EXIT_CODE_FAILED;
    }
    print_report(&options, &report);
    return EXIT_CODE_OK;
}
