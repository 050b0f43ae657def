#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/options.h"
#include "tests/common/suites.h"

/* One of everything, and what parsing gave. */
static bool quiet, json, length_given, length_typed, quiet_given;
static int64_t length, seed;
static double temperature, noise;
static const char *model, *listen_address;

static const struct option_row rows[] = {
    {"length", 'l', OPTION_INTEGER, "N", "TEST_LENGTH", "128", 1, 4096, "Positions.", &length, &length_given,
     &length_typed},
    {"seed", 0, OPTION_INTEGER, "N", NULL, NULL, 0, 0, "Seed.", &seed, NULL},
    {"temperature", 't', OPTION_REAL, "T", NULL, "1", 0.01, 100, "Divides the logits.", &temperature, NULL},
    {"noise", 0, OPTION_REAL, "T", NULL, NULL, 0, 0, "Noise.", &noise, NULL},
    {"model", 'm', OPTION_TEXT, "DIR", "TEST_MODEL", NULL, 0, 0, "The model.", &model, NULL},
    {"listen", 0, OPTION_TEXT, "ADDRESS", NULL, "127.0.0.1:7077", 0, 0, "Address.", &listen_address, NULL},
    {"quiet", 'q', OPTION_FLAG, NULL, "TEST_QUIET", NULL, 0, 0, "Say nothing.", &quiet, &quiet_given},
    {"json", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Print JSON.", &json, NULL},
    {NULL},
};
static const struct option_table table = {
    .program = "millrace test",
    .summary = "Tests the options.",
    .operands = "[A] [B]",
    .examples = "millrace test -l 3\nmillrace test a",
    .rows = rows,
    .max_operands = 2,
};

static struct error error;
static bool help;
static char **operands;
static int n_operands;

/* Splits `line` at spaces and parses it. */
static enum status parse(const char *line)
{
    static char copy[512];
    static char *argv[32];
    int argc = 0;
    snprintf(copy, sizeof copy, "program %s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    error.text[0] = '\0';
    return options_parse(&table, argc, argv, &help, &operands, &n_operands, &error);
}

static void forget_environment(void)
{
    unsetenv("TEST_LENGTH");
    unsetenv("TEST_MODEL");
    unsetenv("TEST_QUIET");
}

START_TEST(defaults)
{
    ck_assert_int_eq(parse(""), STATUS_OK);
    ck_assert(length == 128 && !length_given && !length_typed && seed == 0 && temperature == 1 &&
              isnan(noise));
    ck_assert_ptr_null(model);
    ck_assert_str_eq(listen_address, "127.0.0.1:7077");
    ck_assert(!quiet && !json && !help && n_operands == 0);
}
END_TEST

START_TEST(every_way_to_write_a_value)
{
    static const char *const lines[] = {"--length 7", "--length=7", "-l 7", "-l7", "--length 9 --length 7"};
    ck_assert_int_eq(parse(lines[_i]), STATUS_OK);
    ck_assert_int_eq(length, 7);
    ck_assert(length_given && length_typed);
}
END_TEST

START_TEST(operands_stand_anywhere)
{
    ck_assert_int_eq(parse("one -q --temperature=0.5 two --model dir"), STATUS_OK);
    ck_assert_int_eq(n_operands, 2);
    ck_assert_str_eq(operands[0], "one");
    ck_assert_str_eq(operands[1], "two");
    ck_assert(quiet && temperature == 0.5);
    ck_assert_str_eq(model, "dir");
}
END_TEST

START_TEST(dashes)
{
    ck_assert_int_eq(parse("- -- --length"), STATUS_OK);
    ck_assert_int_eq(n_operands, 2);
    ck_assert_str_eq(operands[0], "-");
    ck_assert_str_eq(operands[1], "--length");
    ck_assert_int_eq(parse("--seed -5"), STATUS_OK);
    ck_assert_int_eq(seed, -5);
    ck_assert_int_eq(parse("--model= x"), STATUS_OK);
    ck_assert_str_eq(model, "");
}
END_TEST

START_TEST(the_environment_is_between_default_and_command_line)
{
    setenv("TEST_LENGTH", "64", 1);
    setenv("TEST_MODEL", "", 1);
    setenv("TEST_QUIET", "yes", 1);
    ck_assert_int_eq(parse(""), STATUS_OK);
    ck_assert(length == 64 && length_given && !length_typed && !model && quiet && quiet_given);
    ck_assert_int_eq(parse("--length 5 --quiet=false"), STATUS_OK);
    ck_assert(length == 5 && !quiet);
    setenv("TEST_LENGTH", "5000", 1);
    ck_assert_int_eq(parse(""), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, "TEST_LENGTH is 5000; it must be from 1 to 4096");
}
END_TEST

START_TEST(help_stops_parsing)
{
    ck_assert_int_eq(parse("--length 3 --help --nonsense"), STATUS_OK);
    ck_assert(help);
    ck_assert_int_eq(parse("-h"), STATUS_OK);
    ck_assert(help);
    ck_assert_int_eq(parse("-- --help"), STATUS_OK);
    ck_assert(!help);
}
END_TEST

static const struct {
    const char *line, *sentence;
} refusals[] = {
    {"--length 0", "--length is 0; it must be from 1 to 4096"},
    {"-l 4097", "-l is 4097; it must be from 1 to 4096"},
    {"--length=99999999999999999999", "--length is 99999999999999999999; it must be from 1 to 4096"},
    {"--seed 99999999999999999999", "--seed is 99999999999999999999, which is too large"},
    {"--length ten", "--length needs a whole number, not 'ten'"},
    {"--length 1.5", "--length needs a whole number, not '1.5'"},
    {"--length=", "--length needs a whole number, not ''"},
    {"--length", "--length needs a value: --length N"},
    {"-m", "-m needs a value: -m DIR"},
    {"--temperature 0", "--temperature is 0; it must be from 0.01 to 100"},
    {"--temperature nan", "--temperature needs a number, not 'nan'"},
    {"--noise inf", "--noise needs a number, not 'inf'"},
    {"--quiet=maybe", "--quiet is a switch: true or false, not 'maybe'"},
    {"-qx", "-q takes no value; write '-q' alone, not '-qx'"},
    {"--lenght 3", "unknown option --lenght; did you mean --length?"},
    {"--modle=x", "unknown option --modle; did you mean --model?"},
    {"--len 3", "unknown option --len; `millrace test --help` lists them"},
    {"-x", "unknown option -x; `millrace test --help` lists them (what begins with '-' and is no option goes "
           "after '--')"},
    {"a b c", "'c' is one too many: millrace test [A] [B] (quote what has spaces)"},
};

START_TEST(refused_with_a_sentence)
{
    ck_assert_int_eq(parse(refusals[_i].line), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, refusals[_i].sentence);
}
END_TEST

START_TEST(help_page)
{
    char *page = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&page, &size);
    options_print_help(&table, out);
    fclose(out);
    ck_assert_str_eq(page,
                     "Usage: millrace test [options] [A] [B]\n"
                     "\n"
                     "Tests the options.\n"
                     "\n"
                     "Options:\n"
                     "  -l, --length N        Positions. [default 128, 1 to 4096, environment TEST_LENGTH]\n"
                     "      --seed N          Seed.\n"
                     "  -t, --temperature T   Divides the logits. [default 1, 0.01 to 100]\n"
                     "      --noise T         Noise.\n"
                     "  -m, --model DIR       The model. [environment TEST_MODEL]\n"
                     "      --listen ADDRESS  Address. [default 127.0.0.1:7077]\n"
                     "  -q, --quiet           Say nothing. [environment TEST_QUIET]\n"
                     "      --json            Print JSON.\n"
                     "  -h, --help            Print this page.\n"
                     "\n"
                     "Examples:\n"
                     "  millrace test -l 3\n"
                     "  millrace test a\n");
    free(page);
}
END_TEST

Suite *options_suite(void)
{
    Suite *suite = suite_create("options");
    TCase *cases = tcase_create("options");
    tcase_add_checked_fixture(cases, forget_environment, forget_environment);
    tcase_add_test(cases, defaults);
    tcase_add_loop_test(cases, every_way_to_write_a_value, 0, 5);
    tcase_add_test(cases, operands_stand_anywhere);
    tcase_add_test(cases, dashes);
    tcase_add_test(cases, the_environment_is_between_default_and_command_line);
    tcase_add_test(cases, help_stops_parsing);
    tcase_add_loop_test(cases, refused_with_a_sentence, 0, sizeof refusals / sizeof *refusals);
    tcase_add_test(cases, help_page);
    suite_add_tcase(suite, cases);
    return suite;
}
