#include <math.h>

#include "tests/coordinator/scheduler/capacity_cases.h"

#define NEAR 1e-9

START_TEST(an_unmeasured_model_knows_nothing)
{
    const struct cost_model model = {0};
    ck_assert(isnan(cost_model_mean_seconds(&model)));
    ck_assert(isnan(cost_model_step_seconds(&model, 10)));
    ck_assert(isnan(cost_model_least_seconds(&model, 10)));
}
END_TEST

START_TEST(steps_of_one_size_give_no_slope)
{
    struct cost_model model = {0};
    for (int i = 0; i < 50; i++)
        cost_model_add(&model, 100, 0.2);
    ck_assert_double_eq_tol(cost_model_step_seconds(&model, 10), 0.2, NEAR);  /* just as long */
    ck_assert_double_eq_tol(cost_model_step_seconds(&model, 300), 0.6, NEAR); /* in proportion */
    ck_assert_double_eq_tol(cost_model_least_seconds(&model, 300), 0.2, NEAR);
}
END_TEST

START_TEST(steps_of_several_sizes_give_a_line)
{
    struct cost_model model = {0};
    for (int i = 0; i < 200; i++) {
        double tokens = 50 * (1 + i % 4);
        cost_model_add(&model, tokens, 0.01 + 0.002 * tokens);
    }
    ck_assert_double_eq_tol(cost_model_step_seconds(&model, 0), 0.01, 1e-6);
    ck_assert_double_eq_tol(cost_model_step_seconds(&model, 1000), 2.01, 1e-6);
    ck_assert_double_eq_tol(cost_model_least_seconds(&model, 1000), 0.41, 1e-6); /* 200 were the most */
    struct cost_line line = cost_model_line(&model);
    ck_assert_double_eq_tol(cost_line_seconds(&line, 77), cost_model_step_seconds(&model, 77), NEAR);
}
END_TEST

/* A fixed part below 0 is no time that anything takes. */
START_TEST(a_line_below_zero_becomes_a_proportion)
{
    struct cost_model model = {0};
    for (int i = 0; i < 200; i++) {
        double tokens = 100 + 50 * (i % 3);
        cost_model_add(&model, tokens, 0.002 * (tokens - 50));
    }
    double mean = cost_model_mean_seconds(&model);
    ck_assert_double_eq_tol(cost_model_step_seconds(&model, 0), 0, NEAR);
    ck_assert_double_gt(cost_model_step_seconds(&model, 50), 0);
    ck_assert_double_lt(cost_model_step_seconds(&model, 50), mean);
}
END_TEST

START_TEST(what_cannot_be_is_not_counted)
{
    struct cost_model model = {0};
    cost_model_add(&model, 0, 1);
    cost_model_add(&model, -5, 1);
    cost_model_add(&model, 10, -1);
    cost_model_add(&model, 10, NAN);
    cost_model_add(&model, 10, INFINITY);
    ck_assert_double_eq(model.weight, 0);
}
END_TEST

START_TEST(what_is_long_ago_is_forgotten)
{
    struct cost_model model = {0};
    for (int i = 0; i < 100; i++)
        cost_model_add(&model, 100, 0.1);
    for (int i = 0; i < 100; i++)
        cost_model_add(&model, 100, 1);
    ck_assert_double_eq_tol(cost_model_mean_seconds(&model), 1, 0.01);
}
END_TEST

TCase *cost_case(void)
{
    TCase *cases = tcase_create("cost");
    tcase_add_test(cases, an_unmeasured_model_knows_nothing);
    tcase_add_test(cases, steps_of_one_size_give_no_slope);
    tcase_add_test(cases, steps_of_several_sizes_give_a_line);
    tcase_add_test(cases, a_line_below_zero_becomes_a_proportion);
    tcase_add_test(cases, what_cannot_be_is_not_counted);
    tcase_add_test(cases, what_is_long_ago_is_forgotten);
    return cases;
}
