/* millrace: one command for everything a person does with a cluster. */
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/convert/convert.h"
#include "cli/convert/models.h"
#include "cli/eval/eval.h"
#include "cli/check/inspect.h"
#include "cli/convert/random.h"
#include "cli/check/verify.h"
#include "common/log.h"
#include "common/nearest.h"
#include "common/output.h"
#include "common/program.h"

static command_function version_main, help_main;

static const struct command {
    const char *name;
    command_function *main;
    const char *help;
} commands[] = {
    {"generate", generate_main, "write a text, and watch it being refined"},
    {"serve", serve_main, "start a cluster of this machine and keep it running"},
    {"status", status_main, "show what a cluster serves and does"},
    {"drain", drain_main, "let a replica finish or hand over what it runs, and end"},
    {"restart", restart_main, "start replicas again one by one, without a failed request"},
    {"token", token_main, "make the token of a client, for a cluster that asks who calls"},
    {"tokenize", tokenize_main, "show the tokens of a text"},
    {"models", models_main, "list the published models that can be served"},
    {"convert", convert_main, "make a model directory from a checkpoint"},
    {"random", random_main, "make a model directory with random weights, to try things with"},
    {"inspect", inspect_main, "show what is in a model directory or a checkpoint"},
    {"eval", eval_main, "measure how good the texts of a model are"},
    {"bench", bench_main, "measure this machine"},
    {"verify", verify_main, "compare this build with the reference's results"},
    {"version", version_main, "print the version"},
    {"help", help_main, "explain a command: millrace help generate"},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++) {
        if (!strcmp(name, commands[i].name))
            return &commands[i];
    }
    return NULL;
}

static void print_overview(FILE *out)
{
    fputs("millrace writes text with models that refine all of it at once.\n\n"
          "  millrace generate \"Once upon a time\"\n\n"
          "starts a cluster on this machine for one text. `millrace serve` keeps one running.\n\nCommands:\n",
          out);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    fputs("\n`millrace COMMAND --help` explains a command and its options.\n", out);
}

static int refuse_command(const char *name)
{
    const char *best = NULL;
    for (int i = 0; i < N_COMMANDS; i++)
        best = nearer_name(name, best, commands[i].name);
    struct error error;
    if (best)
        error_set(&error, STATUS_INVALID_ARGUMENT, "there is no command '%.80s'; did you mean `millrace %s`?",
                  name, best);
    else
        error_set(&error, STATUS_INVALID_ARGUMENT, "there is no command '%.80s'; `millrace help` lists them",
                  name);
    return command_refuse("millrace", &error);
}

static int version_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    puts("millrace " MILLRACE_VERSION);
    return EXIT_CODE_OK;
}

static int help_main(int argc, char **argv)
{
    const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;
    if (argc > 1 && !command)
        return refuse_command(argv[1]);
    if (command && command->main != help_main && command->main != version_main) {
        char help[] = "--help", *arguments[] = {argv[1], help, NULL};
        return command->main(2, arguments);
    }
    print_overview(stdout);
    return EXIT_CODE_OK;
}

/* Chooses a locale with UTF-8, if there is one. */
static void use_utf8(void)
{
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static int run(int argc, char **argv)
{
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_overview(stdout);
        return EXIT_CODE_OK;
    }
    if (!strcmp(argv[1], "--version"))
        return version_main(argc, argv);
    const struct command *command = find_command(argv[1]);
    return command ? command->main(argc - 1, argv + 1) : refuse_command(argv[1]);
}

int main(int argc, char **argv)
{
    program_begin(true);
    use_utf8();
    log_open("millrace");
    log_set_format(getenv("MILLRACE_LOG_FORMAT"), NULL);
    return output_finish("millrace", run(argc, argv));
}
