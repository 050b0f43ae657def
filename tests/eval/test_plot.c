/* Axes, and what is drawn; that it is well-formed is for test_outputs.py, which has a parser of XML. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/eval/axis.h"
#include "cli/eval/plot.h"
#include "common/temporary.h"
#include "tests/eval/suites.h"

START_TEST(linear_axis)
{
    struct axis axis;
    axis_init(&axis, 60, 93);
    ck_assert(!axis.is_logarithmic);
    ck_assert_double_eq(axis.least, 0);
    ck_assert_double_eq(axis.most, 100);
    ck_assert_uint_eq(axis.n_marks, 6);
    ck_assert_double_eq(axis.marks[1], 20);
    ck_assert_double_eq_tol(axis_place(&axis, 25), 0.25, 1e-12);
    ck_assert_double_eq(axis_place(&axis, 200), 1);
}
END_TEST

START_TEST(logarithmic_axis)
{
    struct axis axis;
    const double expected[] = {0.02, 0.05, 0.1, 0.2, 0.5, 1, 2};
    axis_init(&axis, 0.03, 1.5);
    ck_assert(axis.is_logarithmic);
    ck_assert_uint_eq(axis.n_marks, 7);
    for (int i = 0; i < 7; i++)
        ck_assert_double_eq_tol(axis.marks[i], expected[i], 1e-12);
    ck_assert_double_eq_tol(axis_place(&axis, 0.2), 0.5, 1e-12);
    ck_assert_double_eq(axis_place(&axis, 0), 0);
}
END_TEST

static int count(const char *text, const char *word)
{
    int n = 0;
    for (; (text = strstr(text, word)) != NULL; text += strlen(word))
        n++;
    return n;
}

/* The file's text, malloc'ed. */
static char *draw(const struct plot *plot, enum status expected)
{
    char path[TEMPORARY_ROOM], *text = calloc(1, 65536);
    struct error error;
    ck_assert_int_eq(temporary_file(path, "plot", &error), STATUS_OK);
    ck_assert_int_eq(plot_write(plot, path, &error), expected);
    FILE *file = fopen(path, "r");
    ck_assert_uint_lt(fread(text, 1, 65535, file), 65535);
    fclose(file);
    unlink(path);
    return text;
}

START_TEST(points)
{
    static const struct estimate unknown = {NAN, NAN};
    const struct metrics rows[] = {
        {.model = "a<b", .steps = 1, .perplexity = {100, 10}, .seconds = {0.1, 0.01}},
        {.model = "a<b", .steps = 4, .perplexity = {50, NAN}, .seconds = {0.4, 0.01}},
        {.model = "a<b", .steps = 16, .perplexity = unknown, .seconds = {1.6, 0.01}},
    };
    const struct metrics others[] = {
        {.model = "x&y", .steps = 4, .perplexity = {60, 5}, .seconds = unknown},
        {.model = "else", .steps = 4, .perplexity = {60, 5}, .seconds = unknown}};
    const struct plot plot = {"a title", "a judge", rows, 3, others, 2};
    char *text = draw(&plot, STATUS_OK);
    ck_assert_int_eq(count(text, "<circle"), 2 + 1 + 3);
    ck_assert_int_eq(count(text, "<polyline"), 3);
    ck_assert_int_eq(count(text, "<title>1 steps: 100 ±10</title>"), 1);
    ck_assert_int_eq(count(text, "x&amp;y"), 1);
    ck_assert_int_eq(count(text, "judge: a judge"), 1);
    /* log2 of the steps: 4 lies in the middle of 1 and 16 */
    ck_assert_int_eq(count(text, "<circle cx=\"100.0\""), 2);
    ck_assert_int_eq(count(text, "<circle cx=\"380.0\""), 3);
    ck_assert_int_eq(count(text, "<circle cx=\"660.0\""), 1);
    free(text);
    const struct plot nothing = {"a title", "a judge", rows + 2, 1, NULL, 0};
    free(draw(&nothing, STATUS_FAILED_PRECONDITION));
}
END_TEST

Suite *plot_suite(void)
{
    Suite *suite = suite_create("plot");
    TCase *cases = tcase_create("drawing");
    tcase_add_test(cases, linear_axis);
    tcase_add_test(cases, logarithmic_axis);
    tcase_add_test(cases, points);
    suite_add_tcase(suite, cases);
    return suite;
}
