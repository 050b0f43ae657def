#include "cli/eval/settings.h"

#include <stdlib.h>

#include "cli/command.h"
#include "cli/generate/choices.h"

enum { STEPS_MOST = 65536 };

static const char program[] = "millrace eval";
static const char summary[] = "Measures how good texts are, against the number of refinement steps: has a "
                              "cluster write some at each number, and "
                              "reports perplexity under a judge (a language model of your choice), entropy, "
                              "different n-grams, the model's own "
                              "score and speed, each with its standard error; or measures texts in a file "
                              "(--score). With --elbo it bounds the "
                              "bits that a given text costs under the model.\n\n"
                              "Low perplexity with low entropy means repetition: look at both. docs/eval.md "
                              "says what each figure is, and how a "
                              "judge is written. A cluster is found or started as `millrace generate` does.";
static const char examples[] = "millrace eval --steps 1,2,4,8,16 --texts 32\n"
                               "deploy/judges/setup.sh   # once, for the next line\n"
                               "millrace eval --judge \"build/judges/bin/python deploy/judges/smollm2.py\" "
                               "--plot quality.svg --samples ours.jsonl\n"
                               "millrace eval --score ours.jsonl --against reference.jsonl --judge \"python3 "
                               "deploy/judges/bigram.py book.txt\"\n"
                               "millrace eval --prefix book.txt --prefix-tokens 32 --length 128\n"
                               "millrace eval --elbo book.txt";

enum status eval_parse_steps(const char *text, uint32_t steps[STEP_COUNTS_MAX], size_t *n,
                             struct error *error)
{
    size_t found = 0;
    for (const char *at = text; found < STEP_COUNTS_MAX;) {
        char *end;
        long value = strtol(at, &end, 10);
        if (end == at || value < 1 || value > STEPS_MOST || (*end && *end != ','))
            break;
        for (size_t i = 0; i < found; i++) {
            if (steps[i] == (uint32_t)value)
                return error_set(error, STATUS_INVALID_ARGUMENT, "--steps %s: %ld is there twice", text,
                                 value);
        }
        steps[found++] = (uint32_t)value;
        if (!*end) {
            *n = found;
            return STATUS_OK;
        }
        at = end + 1;
    }
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "--steps %s: must be up to %d numbers from 1 to %d, as in 1,2,4", text, STEP_COUNTS_MAX,
                     STEPS_MOST);
}

/* Refuses options that cannot be used together. */
static enum status check(const struct eval_settings *s, struct error *error)
{
    if (s->prefix && s->infill)
        return error_set(error, STATUS_INVALID_ARGUMENT, "--prefix or --infill, not both");
    if (s->score && (s->prefix || s->infill || s->steps_given || s->samples))
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "--score measures texts that are there: it takes no --steps, --prefix, --infill or --samples");
    if (s->plot && !s->judge)
        return error_set(error, STATUS_INVALID_ARGUMENT, "--plot draws perplexity and needs a --judge");
    return s->n_steps > 0 ? connection_choice_check(&s->cluster, error) : STATUS_OK;
}

/* Without --steps, --elbo and --score write nothing. */
static enum status complete(struct eval_settings *s, struct error *error)
{
    enum status status = eval_parse_steps(s->steps_text, s->steps, &s->n_steps, error);
    if (s->score || (s->elbo && !s->steps_given))
        s->n_steps = 0;
    if (status == STATUS_OK && s->solver_name)
        status = solver_from_name(s->solver_name, &s->solver, error);
    return status == STATUS_OK ? check(s, error) : status;
}

int eval_settings_parse(struct eval_settings *s, int argc, char **argv)
{
    *s = (struct eval_settings){0};
    const struct option_row rows[] = {
        {"steps", 's', OPTION_TEXT, "N,N...", NULL, "1,2,4,8,16,64", 0, 0, "Numbers of refinement steps.",
         &s->steps_text, &s->steps_given},
        {"texts", 'n', OPTION_INTEGER, "N", NULL, "64", 1, 1 << 20, "Texts at each number of steps.",
         &s->n_texts, NULL},
        {"length", 'l', OPTION_INTEGER, "N", NULL, NULL, 1, 1 << 20,
         "Tokens of a text. Without it: the length that the model was trained with.", &s->length, NULL},
        {"seed", 0, OPTION_INTEGER, "N", NULL, "1", 0, 0x1p53,
         "Seed of the first text; the next has the next, at every number of steps.", &s->seed, NULL},
        {"solver", 0, OPTION_TEXT, "NAME", NULL, NULL, 0, 0, SOLVER_HELP, &s->solver_name, NULL},
        {"temperature", 't', OPTION_REAL, "T", NULL, "1", 0.01, 100, "Divides the logits.", &s->temperature,
         NULL},
        {"in-flight", 0, OPTION_INTEGER, "N", NULL, "4", 1, 256, "Requests at a time.", &s->in_flight, NULL},
        {"prefix", 0, OPTION_TEXT, "FILE", NULL, NULL, 0, 0,
         "Have beginnings of windows of FILE's text continued.", &s->prefix, NULL},
        {"prefix-tokens", 0, OPTION_INTEGER, "N", NULL, "32", 1, 1 << 20, "Tokens of such a beginning.",
         &s->prefix_tokens, NULL},
        {"infill", 0, OPTION_TEXT, "FILE", NULL, NULL, 0, 0,
         "Have windows of FILE's text filled in, of which random spans are given.", &s->infill, NULL},
        {"infill-share", 0, OPTION_REAL, "X", NULL, "0.5", 0.001, 0.999,
         "The share of a window that is given.", &s->infill_share, NULL},
        {"judge", 'j', OPTION_TEXT, "COMMAND", NULL, NULL, 0, 0,
         "Program that scores texts, with its arguments. Without it there is no perplexity.", &s->judge,
         NULL},
        {"judge-timeout", 0, OPTION_INTEGER, "SECONDS", NULL, "300", 1, 86400,
         "Give up on a judge that says nothing for so long.", &s->judge_timeout_s, NULL},
        {"score", 0, OPTION_TEXT, "FILE.jsonl", NULL, NULL, 0, 0,
         "Measure the texts in FILE, and write none.", &s->score, NULL},
        {"against", 0, OPTION_TEXT, "FILE.jsonl", NULL, NULL, 0, 0,
         "Measure the texts in FILE too, and compare those of the same number of steps.", &s->against, NULL},
        {"elbo", 0, OPTION_TEXT, "FILE", NULL, NULL, 0, 0,
         "Bound the bits a token of FILE's text costs under the model of --model-dir. Writes no texts "
         "without --steps.",
         &s->elbo, NULL},
        {"elbo-windows", 0, OPTION_INTEGER, "N", NULL, "256", 2, 1 << 20,
         "Windows of that text that are looked at.", &s->elbo_windows, NULL},
        {"json", 0, OPTION_TEXT, "FILE", NULL, NULL, 0, 0,
         "Write all figures to FILE (- for standard output).", &s->json, NULL},
        {"plot", 0, OPTION_TEXT, "FILE.svg", NULL, NULL, 0, 0, "Draw perplexity and seconds against steps.",
         &s->plot, NULL},
        {"samples", 0, OPTION_TEXT, "FILE.jsonl", NULL, NULL, 0, 0, "Write the texts to FILE.", &s->samples,
         NULL},
        CONNECTION_CHOICE_ROWS(
            s->cluster, "The coordinator of a running cluster.",
            "Start a cluster for this command with the model in DIR, even where one is running or "
            "MILLRACE_ENDPOINT names one."),
        {"ranks", 0, OPTION_INTEGER, "N", NULL, "2", 1, 64, "Ranks of what is started for this command.",
         &s->ranks, NULL},
        {"timeout", 0, OPTION_INTEGER, "SECONDS", NULL, "600", 1, 86400, "Give up on a text after so long.",
         &s->timeout_s, NULL},
        {NULL},
    };
    const struct option_table table = {
        .program = program, .summary = summary, .operands = "", .examples = examples, .rows = rows};
    char **operands;
    int n_operands, code = command_options(&table, argc, argv, &operands, &n_operands);
    struct error error;
    if (code >= 0)
        return code;
    return complete(s, &error) == STATUS_OK ? -1 : command_refuse(program, &error);
}
