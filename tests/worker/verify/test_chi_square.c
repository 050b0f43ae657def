/* The p-value by which draws are judged, against values that are known. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "worker/verify/chi_square.h"

/* With two degrees Q = exp(-x/2); with one, erfc(sqrt(x/2)); with four, exp(-x/2)(1 + x/2). */
START_TEST(p_values_are_known_for_few_degrees)
{
    for (double x = 0.01; x < 200; x *= 1.3) {
        const struct chi_square one = {x, 1}, two = {x, 2}, four = {x, 4};
        ck_assert_double_eq_tol(chi_square_p_value(&one) / erfc(sqrt(x / 2)), 1, 1e-9);
        ck_assert_double_eq_tol(chi_square_p_value(&two) / exp(-x / 2), 1, 1e-9);
        ck_assert_double_eq_tol(chi_square_p_value(&four) / (exp(-x / 2) * (1 + x / 2)), 1, 1e-9);
    }
}
END_TEST

/* Of 65 degrees: two statistics of the reference's own draws, with p-values from another implementation. */
START_TEST(p_values_of_many_degrees)
{
    const struct chi_square a = {48.52058421462125, 65}, b = {87.11265259486515, 65};
    ck_assert_double_eq_tol(chi_square_p_value(&a), 0.936948576121972, 1e-9);
    ck_assert_double_eq_tol(chi_square_p_value(&b), 0.03499958517161478, 1e-9);
}
END_TEST

START_TEST(counts_become_a_statistic)
{
    const double law[] = {0.5, 0.25, 0.25, 0};
    const int64_t right[] = {50, 25, 25, 0}, off[] = {40, 30, 30, 0}, impossible[] = {50, 25, 24, 1};
    struct chi_square chi_square = {0};
    chi_square_add(&chi_square, right, law, 4);
    ck_assert_double_eq(chi_square.statistic, 0);
    ck_assert_int_eq(chi_square.degrees, 2);
    chi_square_add(&chi_square, off, law, 4);
    ck_assert_double_eq_tol(chi_square.statistic, 100.0 / 50 + 25.0 / 25 + 25.0 / 25, 1e-12);
    ck_assert_int_eq(chi_square.degrees, 4);
    chi_square_add(&chi_square, impossible, law, 4);
    ck_assert_double_eq(chi_square_p_value(&chi_square), 0);
}
END_TEST

/* Cells that are expected less than five times count as one. */
START_TEST(rare_cells_are_taken_together)
{
    const double law[] = {0.96, 0.02, 0.01, 0.01};
    const int64_t counts[] = {96, 0, 0, 4};
    struct chi_square chi_square = {0};
    chi_square_add(&chi_square, counts, law, 4);
    ck_assert_double_eq_tol(chi_square.statistic, 0, 1e-12);
    ck_assert_int_eq(chi_square.degrees, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chi_square");
    TCase *cases = tcase_create("chi_square");
    tcase_add_test(cases, p_values_are_known_for_few_degrees);
    tcase_add_test(cases, p_values_of_many_degrees);
    tcase_add_test(cases, counts_become_a_statistic);
    tcase_add_test(cases, rare_cells_are_taken_together);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
