#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/elementary.h"
#include "kernels/cpu/precise.h"
#include "tests/kernels/support.h"
#include "tests/reference/reference.h"

/* Operations that go row by row, and the elementary functions under them. */

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

struct row_shape {
    int rows, width;
};
static const struct row_shape shapes[] = {{1, 2},    {3, 15},  {17, 16},  {16, 17},
                                          {33, 192}, {5, 768}, {100, 331}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0], CONDITIONS = 3 };

START_TEST(test_norm_modulate)
{
    int rows = shapes[_i].rows, width = shapes[_i].width;
    size_t n = (size_t)rows * width;
    float *x = random_floats(n, 20, 3), *weight = random_floats(width, 21, 1), *y = cleared(n, sizeof *y);
    float *modulation = random_floats((size_t)CONDITIONS * 6 * width, 22, 0.5f),
          *best = cleared(n, sizeof *best);
    int32_t *condition = random_ids(rows, 23, CONDITIONS);
    double *expected = cleared(n, sizeof *expected);
    for (size_t i = 0; i < n; i++)
        x[i] += 5; /* a mean that is not nothing */
    struct norm_modulate op = {x,         weight,    rows,      width,     modulation,
                               6 * width, 3 * width, 4 * width, condition, y};
    reference_norm_modulate(&op, expected);
    for (const char *const *isa = machine_isas(); *isa != NULL; isa++) {
        struct device *device = open_device(*isa, 2);
        backend_cpu.norm_modulate(device, &op);
        finish_device(device);
        check_close(y, expected, n, 4e-6, *isa);
        if (isa == machine_isas())
            memcpy(best, y, n * sizeof *y);
        check_same_bits(y, best, n * sizeof *y, *isa);
    }
    free(x), free(weight), free(y), free(modulation), free(best), free(condition), free(expected);
}
END_TEST

START_TEST(test_gated_add)
{
    int rows = shapes[_i].rows, width = shapes[_i].width;
    size_t n = (size_t)rows * width;
    float *before = random_floats(n, 24, 1), *y = random_floats(n, 25, 1), *x = cleared(n, sizeof *x);
    float *modulation = random_floats((size_t)CONDITIONS * 6 * width, 26, 1),
          *bias = random_floats(width, 28, 1);
    int32_t *condition = random_ids(rows, 27, CONDITIONS);
    double *expected = cleared(n, sizeof *expected);
    float *best = cleared(n, sizeof *best);
    for (int with_bias = 0; with_bias < 2; with_bias++)
        for (const char *const *isa = machine_isas(); *isa != NULL; isa++) {
            struct gated_add op = {
                x, y, with_bias ? bias : NULL, rows, width, modulation, 6 * width, 2 * width, condition};
            struct device *device = open_device(*isa, 2);
            memcpy(x, before, n * sizeof *x);
            reference_gated_add(&op, expected);
            backend_cpu.gated_add(device, &op);
            finish_device(device);
            check_close(x, expected, n, 3e-7, *isa);
            if (isa == machine_isas())
                memcpy(best, x, n * sizeof *x);
            check_same_bits(x, best, n * sizeof *x, *isa);
        }
    free(before), free(y), free(x), free(modulation), free(bias), free(condition), free(expected), free(best);
}
END_TEST

START_TEST(test_embed_and_gather)
{
    enum { N = 20, FIRST = 30, WIDTH = 37, ROWS = 50 };
    float *table = random_floats(N * WIDTH, 30, 1), *x = cleared(ROWS * WIDTH, sizeof *x);
    float *y = cleared(ROWS * WIDTH, sizeof *y);
    int32_t *ids = random_ids(ROWS, 31, 80), *index = random_ids(ROWS, 32, ROWS);
    int inside = 0;
    struct device *device = open_device(machine_isas()[0], 2);
    memset(x, 0x55, ROWS * WIDTH * sizeof *x);
    backend_cpu.embed(device, table, FIRST, N, WIDTH, ids, ROWS, x);
    backend_cpu.gather_rows(device, x, WIDTH * sizeof *x, index, ROWS, y);
    for (int i = 0; i < ROWS; i++) {
        int here = ids[i] >= FIRST && ids[i] < FIRST + N;
        inside += here;
        for (int d = 0; d < WIDTH; d++)
            ck_assert_float_eq(x[i * WIDTH + d], here ? table[(ids[i] - FIRST) * WIDTH + d] : 0);
        check_same_bits(y + i * WIDTH, x + index[i] * WIDTH, WIDTH * sizeof *y, "gather");
    }
    ck_assert_int_gt(inside, 0);
    ck_assert_int_lt(inside, ROWS);
    finish_device(device);
    free(table), free(x), free(y), free(ids), free(index);
}
END_TEST

START_TEST(test_add)
{
    static const int sizes[] = {0, 1, 15, 16, 100, 16384, 16385, 50001};
    float *a = random_floats(50001, 33, 1), *b = random_floats(50001, 34, 1), *y = cleared(50002, sizeof *y);
    for (const char *const *isa = machine_isas(); *isa != NULL; isa++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            struct device *device = open_device(*isa, 2);
            memcpy(y, a, 50001 * sizeof *y);
            y[sizes[s]] = 99;
            backend_cpu.add(device, y, b, sizes[s], y);
            int n_right = 0;
            while (n_right < sizes[s] && y[n_right] == a[n_right] + b[n_right])
                n_right++;
            ck_assert_int_eq(n_right, sizes[s]);
            ck_assert_float_eq(y[sizes[s]], 99);
            finish_device(device);
        }
    free(a), free(b), free(y);
}
END_TEST

Suite *rows_suite(void)
{
    Suite *suite = suite_create("rows");
    TCase *tests = tcase_create("rows");
    tcase_add_test(tests, test_exp_is_within_2_ulp);
    tcase_add_test(tests, test_exp_at_the_edges);
    tcase_add_test(tests, test_activations);
    tcase_add_test(tests, test_precise_functions);
    tcase_add_loop_test(tests, test_norm_modulate, 0, N_SHAPES);
    tcase_add_loop_test(tests, test_gated_add, 0, N_SHAPES);
    tcase_add_test(tests, test_embed_and_gather);
    tcase_add_test(tests, test_add);
    suite_add_tcase(suite, tests);
    return suite;
}
