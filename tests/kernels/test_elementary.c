#include <math.h>

#include "kernels/cpu/elementary.h"
#include "kernels/cpu/precise.h"
#include "tests/kernels/support.h"
#include "tests/reference/reference.h"

static double ulps(float y, double expected)
{
    float nearest = (float)expected;
    return fabs(y - expected) / (nextafterf(fabsf(nearest), INFINITY) - fabsf(nearest));
}

START_TEST(test_exp_is_within_2_ulp)
{
    double worst = 0;
    float x[LANES], y[LANES];
    for (double at = -87; at < 88; at += LANES * 1.7e-4) {
        for (int j = 0; j < LANES; j++)
            x[j] = (float)fmin(at + j * 1.7e-4, 88);
        vf_store(y, vf_exp(vf_load(x)));
        for (int j = 0; j < LANES; j++)
            worst = fmax(worst, ulps(y[j], exp(x[j])));
    }
    ck_assert_double_le(worst, 2);
    ck_assert_double_gt(worst, 0);
}
END_TEST

START_TEST(test_exp_at_the_edges)
{
    static const float x[LANES] = {0, -0.0f, -INFINITY, -87.5f, -1e30f, 88, 1000, INFINITY, NAN};
    float y[LANES];
    vf_store(y, vf_exp(vf_load(x)));
    ck_assert_float_eq(y[0], 1);
    ck_assert_float_eq(y[1], 1);
    for (int j = 2; j < 5; j++)
        ck_assert_float_eq(y[j], 0);
    for (int j = 5; j < 8; j++)
        ck_assert_float_eq(y[j], y[5]);
    ck_assert(isnan(y[8]));
}
END_TEST

START_TEST(test_activations)
{
    for (double at = -30; at < 30; at += 0.003) {
        float x = (float)at, silu[LANES], gelu[LANES];
        vf_store(silu, vf_silu(vf_all(x)));
        vf_store(gelu, vf_gelu_tanh(vf_all(x)));
        double e_silu = reference_activation(ACTIVATION_SILU, x),
               e_gelu = reference_activation(ACTIVATION_GELU_TANH, x);
        check_close(&silu[3], &e_silu, 1, 4e-7, "silu");
        check_close(&gelu[7], &e_gelu, 1, 3e-7, "gelu");
    }
}
END_TEST

START_TEST(test_precise_functions)
{
    for (double x = -690; x < 690; x += 0.37) {
        ck_assert_double_le(fabs(precise_exp(x) / exp(x) - 1), 2e-15);
        double power = exp(x / 3);
        ck_assert_double_le(fabs(precise_log(power) - log(power)), 1e-15 * (1 + fabs(x)));
    }
    ck_assert_double_eq(precise_exp(0), 1);
    ck_assert_double_eq(precise_log(1), 0);
    ck_assert_double_eq(precise_exp(-800), 0);
    ck_assert_double_eq(precise_exp(-INFINITY), 0);
    ck_assert(isnan(precise_exp(NAN)));
}
END_TEST

Suite *elementary_suite(void)
{
    Suite *suite = suite_create("elementary functions");
    TCase *tests = tcase_create("elementary functions");
    tcase_add_test(tests, test_exp_is_within_2_ulp);
    tcase_add_test(tests, test_exp_at_the_edges);
    tcase_add_test(tests, test_activations);
    tcase_add_test(tests, test_precise_functions);
    suite_add_tcase(suite, tests);
    return suite;
}
