/* Files of texts, and the list of step counts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/eval/sample.h"
#include "cli/eval/settings.h"
#include "common/temporary.h"
#include "tests/eval/suites.h"

static enum status read_from(const char *content, struct sample_list *list, struct error *error)
{
    char path[TEMPORARY_ROOM];
    ck_assert_int_eq(temporary_file(path, "samples", error), STATUS_OK);
    FILE *file = fopen(path, "w");
    ck_assert_int_ge(fputs(content, file), 0);
    fclose(file);
    *list = (struct sample_list){0};
    enum status status = sample_list_read(path, list, error);
    unlink(path);
    return status;
}

START_TEST(there_and_back)
{
    struct sample_list list, again = {0};
    struct error error;
    char path[TEMPORARY_ROOM];
    ck_assert_int_eq(
        read_from("{\"text\": \"a\\u00e4 \\\"b\\\"\", \"ids\": [3, 4294967295], \"steps\": 8, \"seed\": "
                  "\"18446744073709551615\", \"model\": \"m\", \"seconds\": 0.5, \"solver\": 1}\n"
                  "\n{\"text\": \"\", \"ids\": [], \"seed\": 12}\n",
                  &list, &error),
        STATUS_OK);
    ck_assert_uint_eq(list.n, 2);
    ck_assert_int_eq(temporary_file(path, "samples", &error), STATUS_OK);
    ck_assert_int_eq(sample_list_write(path, &list, &error), STATUS_OK);
    ck_assert_int_eq(sample_list_read(path, &again, &error), STATUS_OK);
    unlink(path);
    const struct sample *first = &again.samples[0];
    ck_assert_uint_eq(again.n, 2);
    ck_assert_str_eq(first->text, "aä \"b\"");
    ck_assert_str_eq(first->model, "m");
    ck_assert_uint_eq(first->n_ids, 2);
    ck_assert_uint_eq(first->ids[1], UINT32_MAX);
    ck_assert_uint_eq(first->steps, 8);
    ck_assert(first->seed == UINT64_MAX);
    ck_assert_double_eq(first->seconds, 0.5);
    ck_assert(isnan(first->log_probability));
    ck_assert(again.samples[1].seed == 12);
    sample_list_release(&list);
    sample_list_release(&again);
}
END_TEST

START_TEST(faults)
{
    static const struct {
        const char *content, *complaint;
    } wrong[] = {
        {"", "holds no texts"},
        {"{\"text\": \"a\", \"ids\": [1]}\nnonsense\n", "line 2: is no JSON object"},
        {"[]\n", "line 1: is no JSON object"},
        {"{\"ids\": [1]}\n", "\"text\" is missing"},
        {"{\"text\": \"a\"}\n", "\"ids\" must be a list"},
        {"{\"text\": \"a\", \"ids\": [1, -1]}\n", "index 1"},
        {"{\"text\": \"a\", \"ids\": [1], \"steps\": -2}\n", "\"steps\": -2"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sample_list list;
        struct error error;
        ck_assert_int_eq(read_from(wrong[i].content, &list, &error), STATUS_INVALID_ARGUMENT);
        ck_assert_msg(strstr(error.text, wrong[i].complaint), "%s", error.text);
        sample_list_release(&list);
    }
    struct sample_list list = {0};
    struct error error;
    char directory[TEMPORARY_ROOM], missing[TEMPORARY_ROOM + 8];
    ck_assert_int_eq(temporary_directory(directory, "samples", &error), STATUS_OK);
    snprintf(missing, sizeof missing, "%s/file", directory);
    ck_assert_int_eq(sample_list_read(missing, &list, &error), STATUS_NOT_FOUND);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(step_counts)
{
    uint32_t steps[STEP_COUNTS_MAX];
    size_t n;
    struct error error;
    ck_assert_int_eq(eval_parse_steps("64,1,65536", steps, &n, &error), STATUS_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq(steps[0], 64);
    ck_assert_uint_eq(steps[2], 65536);
    const char *const wrong[] = {"", "0", "65537", "1,", "1,,2", "1 2", "a", "2,1,2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(eval_parse_steps(wrong[i], steps, &n, &error), STATUS_INVALID_ARGUMENT);
        ck_assert_msg(strstr(error.text, "--steps"), "%s", error.text);
    }
}
END_TEST

Suite *samples_suite(void)
{
    Suite *suite = suite_create("samples");
    TCase *cases = tcase_create("files");
    tcase_add_test(cases, there_and_back);
    tcase_add_test(cases, faults);
    tcase_add_test(cases, step_counts);
    suite_add_tcase(suite, cases);
    return suite;
}
