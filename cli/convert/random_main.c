/* `millrace random`: its options, and what it says. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/convert/random.h"

static const char program[] = "millrace random";

/* What the command line says, before it is turned into random_options. */
struct typed {
    int64_t seed, vocabulary;
    const char *dtype, *source;
};

/* Parses as command_options does. */
static int parse(struct typed *typed, int argc, char **argv, char ***operands, int *n_operands)
{
    const struct option_row rows[] = {
        {"seed", 's', OPTION_INTEGER, "N", NULL, "0", 0, 9007199254740991,
         "the same seed gives the same weights", &typed->seed, NULL},
        {"vocabulary", 0, OPTION_INTEGER, "N", NULL, "0", 0, 1 << 20,
         "tokens. 0: as published; GPT-2 has 50257", &typed->vocabulary, NULL},
        {"dtype", 0, OPTION_TEXT, "FORMAT", NULL, "f32", 0, 0, "of the matrices: f32 or bf16", &typed->dtype,
         NULL},
        {"source", 0, OPTION_TEXT, "NAME", NULL, "uniform", 0, 0,
         "what a text starts from: uniform, or mask (one token more than the vocabulary)", &typed->source,
         NULL},
        {NULL},
    };
    const struct option_table table = {
        program,
        "Writes a model directory with random weights of a named size, for measuring speed:\n"
        "nano, mini (of the shapes of books-mini), 0.17B, 1.3B, 1.7B; or of a published network of others:\n"
        "mdlm-small, sedd-medium, duo-small, udlm-small, gidd-base, bd3lm-small, or one of these at nano or "
        "mini.\n"
        "It has no tokenizer, so only `millrace bench` and `millrace inspect` accept it.",
        "SIZE DIRECTORY",
        "millrace random 0.17B /tmp/random-0.17B\nmillrace bench --model-dir /tmp/random-0.17B",
        rows,
        2,
    };
    return command_options(&table, argc, argv, operands, n_operands);
}

static enum status fill_options(const struct typed *typed, char **operands, int n_operands,
                                struct random_options *options, struct error *error)
{
    const bool is_bf16 = strcmp(typed->dtype, "bf16") == 0, is_mask = strcmp(typed->source, "mask") == 0;
    if (n_operands != 2)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "give a size and the directory to make: millrace random 0.17B DIRECTORY");
    if (!is_bf16 && strcmp(typed->dtype, "f32") != 0)
        return error_set(error, STATUS_INVALID_ARGUMENT, "--dtype is \"%.32s\"; it must be f32 or bf16",
                         typed->dtype);
    if (!is_mask && strcmp(typed->source, "uniform") != 0)
        return error_set(error, STATUS_INVALID_ARGUMENT, "--source is \"%.32s\"; it must be uniform or mask",
                         typed->source);
    *options = (struct random_options){operands[0],
                                       operands[1],
                                       (uint64_t)typed->seed,
                                       (int)typed->vocabulary,
                                       is_bf16 ? DTYPE_BF16 : DTYPE_F32,
                                       is_mask ? SOURCE_MASK : SOURCE_UNIFORM};
    return STATUS_OK;
}

int random_main(int argc, char **argv)
{
    struct typed typed;
    struct random_options options;
    struct model_config config;
    struct error error;
    char **operands;
    int n_operands;
    int code = parse(&typed, argc, argv, &operands, &n_operands);
    if (code >= 0)
        return code;
    if (fill_options(&typed, operands, n_operands, &options, &error) != STATUS_OK)
        return command_refuse(program, &error);
    if (random_model(&options, &config, &error) != STATUS_OK) {
        command_refuse(program, &error);
        return EXIT_CODE_FAILED;
    }
    printf("%s: %.2f million random parameters, width %d, %d heads, %d blocks, vocabulary %d\n"
           "  no tokenizer.json: only `millrace bench` and `millrace inspect` accept this directory\n",
           options.directory, (double)model_config_parameters(&config) / 1e6, config.hidden, config.n_heads,
           config.n_blocks, config.vocabulary);
    return EXIT_CODE_OK;
}
