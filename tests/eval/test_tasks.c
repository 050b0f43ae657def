/* Which positions of an infill are given. */
#include <string.h>

#include "cli/eval/task.h"
#include "tests/eval/suites.h"

enum { LENGTH = 128 };

static size_t count_pinned(const uint8_t *editable)
{
    size_t n = 0;
    for (int i = 0; i < LENGTH; i++)
        n += editable[i] == 0;
    return n;
}

START_TEST(exactly_so_many)
{
    uint8_t editable[LENGTH];
    for (size_t n = 0; n < LENGTH; n++) {
        task_pin_spans(editable, LENGTH, n, 7, (uint32_t)n);
        ck_assert_uint_eq(count_pinned(editable), n);
    }
}
END_TEST

START_TEST(spans_not_single_tokens)
{
    uint8_t editable[LENGTH];
    int edges = 0;
    task_pin_spans(editable, LENGTH, LENGTH / 2, 1, 0);
    for (int i = 1; i < LENGTH; i++)
        edges += editable[i] != editable[i - 1];
    ck_assert_int_ge(edges, 3);
    ck_assert_int_le(edges, 24); /* 64 single tokens at random would have about 64 */
}
END_TEST

START_TEST(the_same_seed_the_same_spans)
{
    uint8_t first[LENGTH], again[LENGTH], other[LENGTH], other_task[LENGTH];
    task_pin_spans(first, LENGTH, 40, 5, 3);
    task_pin_spans(again, LENGTH, 40, 5, 3);
    task_pin_spans(other, LENGTH, 40, 6, 3);
    task_pin_spans(other_task, LENGTH, 40, 5, 4);
    ck_assert_int_eq(memcmp(first, again, LENGTH), 0);
    ck_assert_int_ne(memcmp(first, other, LENGTH), 0);
    ck_assert_int_ne(memcmp(first, other_task, LENGTH), 0);
}
END_TEST

Suite *tasks_suite(void)
{
    Suite *suite = suite_create("tasks");
    TCase *cases = tcase_create("spans");
    tcase_add_test(cases, exactly_so_many);
    tcase_add_test(cases, spans_not_single_tokens);
    tcase_add_test(cases, the_same_seed_the_same_spans);
    suite_add_tcase(suite, cases);
    return suite;
}
