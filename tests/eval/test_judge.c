/* The line protocol with a judge that keeps it, and with judges that do not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/temporary.h"
#include "cli/eval/judge.h"
#include "tests/eval/suites.h"

enum { N_TEXTS = 500 };
static const double patience_s = 20, short_patience_s = 10;

static const char *command(const char *kind)
{
    static char text[512];
    snprintf(text, sizeof text, "python3 '%s' %s", getenv("FAKE_JUDGE"), kind);
    return text;
}

static struct sample *make_texts(size_t size_bytes)
{
    struct sample *samples = calloc(N_TEXTS, sizeof *samples);
    for (int i = 0; i < N_TEXTS; i++) {
        samples[i].text = malloc(size_bytes + 32);
        memset(samples[i].text, 'x', size_bytes);
        sprintf(samples[i].text + size_bytes, " ä\n\"%d\"", i);
    }
    return samples;
}

static void free_texts(struct sample *samples)
{
    for (int i = 0; i < N_TEXTS; i++)
        free(samples[i].text);
    free(samples);
}

/* More than any pipe holds, in both directions at the same time. */
START_TEST(answers)
{
    struct judge *judge;
    struct error error;
    struct sample *samples = make_texts(5000);
    ck_assert_msg(judge_open(command("good"), patience_s, &judge, &error) == STATUS_OK, "%s", error.text);
    ck_assert_str_eq(judge_name(judge), "fake 1.0");
    for (int round = 0; round < 2; round++) {
        ck_assert_msg(judge_score(judge, samples, N_TEXTS, NULL, &error) == STATUS_OK, "%s", error.text);
        for (int i = 0; i < N_TEXTS; i++) {
            ck_assert_double_eq(samples[i].nll, (double)strlen(samples[i].text));
            ck_assert_double_eq(samples[i].n_judge_tokens, 3);
            samples[i].nll = 0;
        }
    }
    judge_close(judge);
    free_texts(samples);
}
END_TEST

START_TEST(wrong_starts)
{
    static const struct {
        const char *kind, *complaint;
        double patience_s;
        enum status status;
    } wrong[] = {
        {"dies_at_once", "the judge ended too early (exit code 3)", 20, STATUS_FAILED_PRECONDITION},
        {"silent_hello", "said nothing for 0.5 s (--judge-timeout)", 0.5, STATUS_FAILED_PRECONDITION},
        {"wrong_hello", "'{\"name\": \"x\"}': its first line must be", 20, STATUS_DATA_LOSS},
        {"text_hello", "'loading ...': its first line must be", 20, STATUS_DATA_LOSS},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct judge *judge = NULL;
        struct error error;
        ck_assert_int_eq(judge_open(command(wrong[i].kind), wrong[i].patience_s, &judge, &error),
                         wrong[i].status);
        ck_assert_msg(strstr(error.text, wrong[i].complaint), "%s: %s", wrong[i].kind, error.text);
        ck_assert_ptr_null(judge);
    }
}
END_TEST

START_TEST(wrong_answers)
{
    static const struct {
        const char *kind, *complaint;
        enum status status;
    } wrong[] = {
        {"dies", "ended too early (exit code 4)", STATUS_FAILED_PRECONDITION},
        {"hangs", "said nothing for", STATUS_FAILED_PRECONDITION},
        {"garbage", "'Traceback (most recent call last):xxx", STATUS_DATA_LOSS},
        {"out_of_order", "the answer to the text with \"id\": 5 was due", STATUS_DATA_LOSS},
        {"negative", "not below 0", STATUS_DATA_LOSS},
        {"nan", "no JSON object", STATUS_DATA_LOSS},
        {"fraction", "\"tokens\" must be a whole number", STATUS_DATA_LOSS},
        {"refuses", "fake 1.0 cannot score text 5: too long for me", STATUS_FAILED_PRECONDITION},
        {"endless", "a line of more than", STATUS_DATA_LOSS},
        {"unasked", "(docs/eval.md has the protocol)", STATUS_DATA_LOSS},
    };
    struct sample *samples = make_texts(10);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct judge *judge;
        struct error error;
        double patience = strcmp(wrong[i].kind, "hangs") ? patience_s : short_patience_s;
        ck_assert_msg(judge_open(command(wrong[i].kind), patience, &judge, &error) == STATUS_OK, "%s",
                      error.text);
        ck_assert_int_eq(judge_score(judge, samples, N_TEXTS, NULL, &error), wrong[i].status);
        ck_assert_msg(strstr(error.text, wrong[i].complaint), "%s: %s", wrong[i].kind, error.text);
        judge_close(judge);
    }
    free_texts(samples);
}
END_TEST

START_TEST(no_such_program)
{
    struct judge *judge;
    struct error error;
    char directory[TEMPORARY_ROOM], command[TEMPORARY_ROOM + 16];
    ck_assert_int_eq(temporary_directory(directory, "judge", &error), STATUS_OK);
    snprintf(command, sizeof command, "%s/judge 1", directory);
    ck_assert_int_eq(judge_open(command, patience_s, &judge, &error), STATUS_FAILED_PRECONDITION);
    ck_assert_int_eq(rmdir(directory), 0);
    ck_assert_msg(strstr(error.text, "exit code 127"), "%s", error.text);
}
END_TEST

Suite *judge_suite(void)
{
    Suite *suite = suite_create("judge");
    TCase *cases = tcase_create("protocol");
    tcase_add_test(cases, answers);
    tcase_add_test(cases, wrong_starts);
    tcase_add_test(cases, wrong_answers);
    tcase_add_test(cases, no_such_program);
    suite_add_tcase(suite, cases);
    return suite;
}
