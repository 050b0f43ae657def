/* What every command does with its options and its failures: where it writes, what it advises, how it exits.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "tests/cli/suites.h"

/* What a function wrote to a stream while it was ours. */
struct capture {
    FILE **stream, *before, *file;
    char *text;
    size_t size;
};

static void capture_begin(struct capture *capture, FILE **stream)
{
    *capture = (struct capture){.stream = stream, .before = *stream};
    *stream = capture->file = open_memstream(&capture->text, &capture->size);
    ck_assert_ptr_nonnull(capture->file);
}

/* The caller frees the text. */
static char *capture_end(struct capture *capture)
{
    *capture->stream = capture->before;
    fclose(capture->file);
    return capture->text;
}

/* ---- options ---- */

static int64_t steps;
static const struct option_row rows[] = {
    {.name = "steps",
     .kind = OPTION_INTEGER,
     .value_name = "N",
     .fallback = "8",
     .least = 1,
     .most = 1024,
     .help = "How many steps.",
     .value = &steps},
    {0},
};
static const struct option_table table = {
    .program = "millrace try", .summary = "Tries.", .operands = "[WORD]", .rows = rows, .max_operands = 1};

static int parse(char *first, char *second, char ***operands, int *n_operands)
{
    static char program[] = "try";
    static char *argv[4]; /* the operands point into it */
    argv[0] = program;
    argv[1] = first;
    argv[2] = second;
    return command_options(&table, second ? 3 : 2, argv, operands, n_operands);
}

START_TEST(good_options_let_the_command_go_on)
{
    char steps_4[] = "--steps=4", word[] = "word";
    char **operands;
    int n_operands;
    ck_assert_int_eq(parse(steps_4, word, &operands, &n_operands), -1);
    ck_assert_int_eq(steps, 4);
    ck_assert_int_eq(n_operands, 1);
    ck_assert_str_eq(operands[0], "word");
}
END_TEST

START_TEST(help_is_what_was_asked_for_and_goes_to_standard_output)
{
    char help[] = "--help";
    struct capture out, errors;
    capture_begin(&out, &stdout);
    capture_begin(&errors, &stderr);
    int code = parse(help, NULL, &(char **){NULL}, &(int){0});
    char *complaint = capture_end(&errors), *page = capture_end(&out);
    ck_assert_int_eq(code, EXIT_CODE_OK);
    ck_assert_str_eq(complaint, "");
    ck_assert_ptr_nonnull(strstr(page, "millrace try"));
    ck_assert_ptr_nonnull(strstr(page, "--steps N"));
    free(complaint);
    free(page);
}
END_TEST

START_TEST(wrong_options_are_refused_on_standard_error)
{
    char steps_0[] = "--steps=0";
    struct capture out, errors;
    capture_begin(&out, &stdout);
    capture_begin(&errors, &stderr);
    int code = parse(steps_0, NULL, &(char **){NULL}, &(int){0});
    char *complaint = capture_end(&errors), *page = capture_end(&out);
    ck_assert_int_eq(code, EXIT_CODE_USAGE);
    ck_assert_str_eq(page, "");
    ck_assert_int_eq(strncmp(complaint, "millrace try: ", 14), 0);
    ck_assert_ptr_nonnull(strstr(complaint, "steps"));
    free(complaint);
    free(page);
}
END_TEST

/* ---- failures ---- */

/* What command_fail says; the caller frees it. */
static char *failure(const struct error *error, int expected_code)
{
    struct capture errors;
    capture_begin(&errors, &stderr);
    int code = command_fail("millrace try", error);
    char *text = capture_end(&errors);
    ck_assert_int_eq(code, expected_code);
    return text;
}

START_TEST(a_failure_names_its_kind_and_its_reason)
{
    char *text =
        failure(&(struct error){.status = STATUS_DATA_LOSS, .text = "a is damaged"}, EXIT_CODE_FAILED);
    ck_assert_str_eq(text, "millrace try: DATA_LOSS: a is damaged\n");
    free(text);
}
END_TEST

/* A server may say anything; a terminal is told to do nothing. */
START_TEST(text_of_others_loses_its_control_characters)
{
    char *text = failure(&(struct error){.status = STATUS_NOT_FOUND,
                                         .text = "\x1b]0;x\x07 \xc2\x9b"
                                                 "2J \xff\nnext\r"},
                         EXIT_CODE_FAILED);
    ck_assert_str_eq(text, "millrace try: NOT_FOUND: ?]0;x? ??2J ?\nnext?\n");
    free(text);
}
END_TEST

START_TEST(an_interruption_is_no_failure)
{
    char *text = failure(&(struct error){.status = STATUS_CANCELLED, .text = "x"}, EXIT_CODE_INTERRUPTED);
    ck_assert_str_eq(text, "millrace try: interrupted\n");
    free(text);
}
END_TEST

START_TEST(a_cluster_that_says_when_is_believed)
{
    char *text =
        failure(&(struct error){.status = STATUS_RESOURCE_EXHAUSTED, .text = "full", .retry_after_ms = 1500},
                EXIT_CODE_FAILED);
    ck_assert_str_eq(text,
                     "millrace try: RESOURCE_EXHAUSTED: full\n  the cluster says: try again in 1.5 s\n");
    free(text);
}
END_TEST

START_TEST(usual_failures_come_with_a_remedy)
{
    static const struct {
        enum status status;
        const char *reason, *remedy;
    } cases[] = {
        {STATUS_UNAVAILABLE, "nobody listens", "`millrace serve`"},
        {STATUS_UNAVAILABLE, "TLS: the certificate has expired", NULL},
        {STATUS_RESOURCE_EXHAUSTED, "full", "`millrace status`"},
        {STATUS_RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 4)", "waiting changes nothing"},
        {STATUS_RESOURCE_EXHAUSTED, "no memory for a text of 9 bytes", NULL},
        {STATUS_DEADLINE_EXCEEDED, "too late", "more time"},
        {STATUS_UNAUTHENTICATED, "no token", "--token-file"},
        {STATUS_PERMISSION_DENIED, "not you", "file of tokens"},
        {STATUS_UNIMPLEMENTED, "no such method", "another version"},
        {STATUS_NOT_FOUND, "no such file", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {.status = cases[i].status};
        strcpy(error.text, cases[i].reason);
        char *text = failure(&error, EXIT_CODE_FAILED), *second_line = strchr(text, '\n') + 1;
        if (cases[i].remedy)
            ck_assert_msg(strstr(second_line, cases[i].remedy) != NULL, "%s", text);
        else
            ck_assert_msg(*second_line == '\0', "%s", text);
        free(text);
    }
}
END_TEST

Suite *command_suite(void)
{
    Suite *suite = suite_create("command");
    TCase *cases = tcase_create("command");
    tcase_add_test(cases, good_options_let_the_command_go_on);
    tcase_add_test(cases, help_is_what_was_asked_for_and_goes_to_standard_output);
    tcase_add_test(cases, wrong_options_are_refused_on_standard_error);
    tcase_add_test(cases, a_failure_names_its_kind_and_its_reason);
    tcase_add_test(cases, text_of_others_loses_its_control_characters);
    tcase_add_test(cases, an_interruption_is_no_failure);
    tcase_add_test(cases, a_cluster_that_says_when_is_believed);
    tcase_add_test(cases, usual_failures_come_with_a_remedy);
    suite_add_tcase(suite, cases);
    return suite;
}
