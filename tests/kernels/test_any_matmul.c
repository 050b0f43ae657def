#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/any.h"
#include "tests/kernels/support.h"
#include "tests/reference/reference.h"

struct shape {
    int rows, n_out, n_in, more_x, more_y; /* columns of x and y that do not belong to the product */
    enum activation activation;
    bool with_bias;
    enum dtype y_type; /* F32, or else the activation type */
    int cuts;          /* the sum over n_in has 2^cuts leaves */
};

static const struct shape shapes[] = {
    {1, 1, 1, 0, 0, ACTIVATION_NONE, false, DTYPE_F32},
    {1, 768, 96, 0, 0, ACTIVATION_NONE, true, DTYPE_BF16},
    {2, 15, 33, 3, 5, ACTIVATION_SILU, true, DTYPE_F32},
    {3, 16, 64, 8, 0, ACTIVATION_NONE, false, DTYPE_BF16, 3},
    {5, 17, 100, 4, 1, ACTIVATION_GELU_TANH, true, DTYPE_BF16, 3},
    {13, 31, 77, 3, 2, ACTIVATION_NONE, true, DTYPE_F32, 1},
    {14, 32, 128, 3, 5, ACTIVATION_SILU, false, DTYPE_F32, 2},
    {64, 64, 32, 0, 0, ACTIVATION_SILU, false, DTYPE_BF16},
    {65, 65, 129, 7, 0, ACTIVATION_GELU_TANH, false, DTYPE_F32},
    {29, 200, 1024, 0, 0, ACTIVATION_NONE, true, DTYPE_F32, 3},
    {130, 97, 50, 0, 3, ACTIVATION_GELU_TANH, true, DTYPE_BF16, 4},
    {150, 1600, 72, 0, 0, ACTIVATION_GELU_TANH, true, DTYPE_BF16}, /* wide tiles */
    {1009, 40, 30, 0, 0, ACTIVATION_NONE, true, DTYPE_F32},
    {1100, 18, 7, 3, 5, ACTIVATION_SILU, true, DTYPE_F32, 3},
    {3, 20, 0, 0, 0, ACTIVATION_NONE, true, DTYPE_F32, 3}, /* a rank without inputs: the bias alone */
    {3, 0, 20, 0, 5, ACTIVATION_NONE, false, DTYPE_F32},   /* without outputs: nothing is written */
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

/* One product: host data as the device sees it, and what is on the device. */
struct problem {
    struct device *device;
    struct shape shape;
    enum dtype x_type, y_type;
    int64_t ld_x, ld_y;
    float *x, *w, *bias; /* rounded to the device's formats */
    void *x_there, *bias_there, *y_there;
    struct weight *weight;
};

static struct weight *make_weight(struct device *device, enum weight_use use, const float *w, int n_out,
                                  int n_in, int cuts)
{
    const struct matrix_view view = {w, DTYPE_F32, n_out, n_in, n_in};
    struct weight *weight = NULL;
    struct error error = {0};
    int32_t leaves[LEAVES_MAX + 1];
    cut_leaves(n_in, 1 << cuts, leaves);
    ck_assert_msg(any_backend->weight_create(device, use, &view, 1, leaves, 1 << cuts, &weight, &error) ==
                      STATUS_OK,
                  "%s", error.text);
    return weight;
}

/* What the weight and x lose on their way; the weight is made from what is not yet rounded. */
static void round_inputs(struct problem *problem, const struct any_variant *variant, enum weight_use use)
{
    const struct shape *shape = &problem->shape;
    bool fp8 = variant->precision == PRECISION_FP8 && use == WEIGHT_PRODUCT;
    bool int8 = variant->precision == PRECISION_INT8 && use == WEIGHT_PRODUCT;
    bool exact = variant->precision == PRECISION_F32 || (any_backend->on_host && use == WEIGHT_CONDITIONING);
    enum dtype w_type = exact ? DTYPE_F32 : DTYPE_BF16;
    if (fp8)
        any_round_e4m3(problem->w, shape->n_out, shape->n_in);
    else if (int8)
        any_round_int8(problem->w, shape->n_out, shape->n_in);
    else
        any_round(problem->w, (size_t)shape->n_out * shape->n_in, w_type);
    for (int row = 0; fp8 && row < shape->rows; row++)
        any_round_e4m3(problem->x + row * problem->ld_x, 1, shape->n_in);
    int32_t leaves[LEAVES_MAX + 1];
    cut_leaves(shape->n_in, 1 << shape->cuts, leaves);
    for (int row = 0; int8 && row < shape->rows; row++)
        for (int leaf = 0; leaf < 1 << shape->cuts; leaf++)
            any_round_int8(problem->x + row * problem->ld_x + leaves[leaf], 1,
                           leaves[leaf + 1] - leaves[leaf]);
}

static void problem_init(struct problem *problem, const struct any_variant *variant, enum weight_use use,
                         const struct shape *shape)
{
    *problem = (struct problem){.device = any_open_variant(variant), .shape = *shape};
    enum dtype activation = any_backend->activation_type(problem->device);
    problem->x_type = use == WEIGHT_CONDITIONING ? DTYPE_F32 : activation;
    problem->y_type = shape->y_type == DTYPE_F32 ? DTYPE_F32 : activation;
    problem->ld_x = shape->n_in + shape->more_x;
    problem->ld_y = shape->n_out + shape->more_y;
    size_t n_x = (size_t)shape->rows * problem->ld_x, n_y = (size_t)shape->rows * problem->ld_y;
    problem->x = random_floats(n_x, 1, 1);
    problem->w = random_floats((size_t)shape->n_out * shape->n_in, 2, 0.25f);
    problem->bias = random_floats(shape->n_out, 3, 1);
    any_round(problem->x, n_x, problem->x_type);
    problem->weight = make_weight(problem->device, use, problem->w, shape->n_out, shape->n_in, shape->cuts);
    problem->x_there = any_put_floats(problem->device, problem->x, n_x, problem->x_type);
    problem->bias_there = any_put(problem->device, problem->bias, shape->n_out * sizeof(float));
    float *mark = cleared(n_y, sizeof *mark);
    for (size_t i = 0; i < n_y; i++)
        mark[i] = 77;
    problem->y_there = any_put_floats(problem->device, mark, n_y, problem->y_type);
    free(mark);
    round_inputs(problem, variant, use);
}

static void problem_release(struct problem *problem)
{
    any_backend->weight_free(problem->device, problem->weight);
    any_backend->release(problem->device, problem->x_there);
    any_backend->release(problem->device, problem->bias_there);
    any_backend->release(problem->device, problem->y_there);
    any_close(problem->device);
    free(problem->x), free(problem->w), free(problem->bias);
}

/* The product of rows first ... first + rows. */
static void multiply(struct problem *problem, int first, int rows)
{
    const struct shape *shape = &problem->shape;
    const struct matmul op = {.x = (const char *)problem->x_there +
                                   first * problem->ld_x * dtype_bytes(problem->x_type),
                              .x_type = problem->x_type,
                              .ld_x = problem->ld_x,
                              .rows = rows,
                              .weight = problem->weight,
                              .bias = shape->with_bias ? problem->bias_there : NULL,
                              .activation = shape->activation,
                              .y = problem->y_there,
                              .y_type = problem->y_type,
                              .ld_y = problem->ld_y};
    any_backend->matmul(problem->device, &op);
}

/* Of float32 sums of 1024 products of size up to 1/4, in proportion where there are more; a GPU may add them
 * in any order. */
static double error_of_sums(int n_in)
{
    return (any_backend->on_host ? 2e-6 : 1e-5) * fmax(1, n_in / 1024.0);
}

/* Errors of sums, if there are any, plus one rounding; and nothing beside the product. */
static void check_product(const struct problem *problem, const char *what)
{
    const struct shape *shape = &problem->shape;
    size_t n_y = (size_t)shape->rows * problem->ld_y;
    float *y = cleared(n_y, sizeof *y);
    double *expected = cleared((size_t)shape->rows * shape->n_out, sizeof *expected);
    double tolerance = (shape->n_in > 0 ? error_of_sums(shape->n_in) : 0) + any_rounding(problem->y_type);
    any_get_floats(problem->device, problem->y_there, n_y, problem->y_type, y);
    reference_matmul(problem->x, problem->ld_x, shape->rows, problem->w, shape->n_out, shape->n_in,
                     shape->with_bias ? problem->bias : NULL, shape->activation, expected);
    for (int i = 0; i < shape->rows; i++) {
        check_close(y + i * problem->ld_y, expected + (int64_t)i * shape->n_out, (size_t)shape->n_out,
                    tolerance, what);
        for (int j = shape->n_out; j < problem->ld_y; j++)
            ck_assert_float_eq(y[i * problem->ld_y + j], 77);
    }
    free(y), free(expected);
}

START_TEST(test_product_is_the_reference)
{
    const struct any_variant *variants;
    for (int v = 0; v < any_variants(&variants); v++) {
        struct problem problem;
        problem_init(&problem, &variants[v], WEIGHT_PRODUCT, &shapes[_i]);
        multiply(&problem, 0, shapes[_i].rows);
        check_product(&problem, variants[v].name);
        problem_release(&problem);
    }
}
END_TEST

START_TEST(test_conditioning_product_is_the_reference)
{
    const struct any_variant *variants;
    for (int v = 0; v < any_variants(&variants); v++) {
        struct problem problem;
        struct shape shape = shapes[_i];
        shape.rows = shape.rows < 3 ? shape.rows : 3;
        problem_init(&problem, &variants[v], WEIGHT_CONDITIONING, &shape);
        multiply(&problem, 0, shape.rows);
        check_product(&problem, variants[v].name);
        problem_release(&problem);
    }
}
END_TEST

/* Rows alone, among few, among many, at other places of a tile: the same bits. */
START_TEST(test_rows_do_not_depend_on_rows)
{
    static const struct shape of_tests[] = {{300, 150, 200, 0, 0, ACTIVATION_GELU_TANH, true, DTYPE_BF16},
                                            {300, 1560, 40, 0, 0, ACTIVATION_NONE, false, DTYPE_F32},
                                            {300, 70, 61, 0, 0, ACTIVATION_SILU, true, DTYPE_F32}};
    static const int counts[] = {1, 2, 15, 17, 63, 64, 65, 127, 129, 255, 300};
    const struct any_variant *variants;
    const struct shape *shape = &of_tests[_i];
    for (int v = 0; v < any_variants(&variants); v++) {
        struct problem problem;
        problem_init(&problem, &variants[v], WEIGHT_PRODUCT, shape);
        size_t row_bytes = shape->n_out * dtype_bytes(problem.y_type);
        char *all = cleared(shape->rows, row_bytes), *some = cleared(shape->rows, row_bytes);
        multiply(&problem, 0, shape->rows);
        any_get(problem.device, problem.y_there, shape->rows * row_bytes, all);
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            int first = (shape->rows - counts[i]) * 2 / 3;
            multiply(&problem, first, counts[i]);
            any_get(problem.device, problem.y_there, counts[i] * row_bytes, some);
            check_same_bits(some, all + first * row_bytes, counts[i] * row_bytes, variants[v].name);
        }
        free(all), free(some);
        problem_release(&problem);
    }
}
END_TEST

/* Formats of files, stacked: each becomes what its numbers say. */
START_TEST(test_weight_of_several_parts_and_formats)
{
    enum { N_IN = 300, N_OUT = 9 };
    const struct any_variant *variants;
    float *values = random_floats(N_OUT * N_IN, 11, 1), dense[N_OUT * N_IN];
    uint16_t bf16[3 * N_IN], f16[2 * N_IN];
    for (int i = 0; i < 3 * N_IN; i++)
        bf16[i] = (uint16_t)(0x3F00 + i % 160);
    for (int i = 0; i < 2 * N_IN; i++)
        f16[i] = (uint16_t)(i < 4 ? 1 + 300 * i : 0x3800 + 7 * i % 1024); /* the first are subnormal */
    for (int v = 0; v < any_variants(&variants); v++) {
        struct device *device = any_open_variant(&variants[v]);
        enum dtype type = any_backend->activation_type(device);
        float *x = random_floats(N_IN, 12, 1), y[N_OUT];
        double expected[N_OUT];
        dtype_to_float(DTYPE_BF16, bf16, 3 * N_IN, dense);
        dtype_to_float(DTYPE_F16, f16, 2 * N_IN, dense + 3 * N_IN);
        memcpy(dense + 5 * N_IN, values, 4 * N_IN * sizeof *values);
        any_round(x, N_IN, type);
        const struct matrix_view parts[] = {{bf16, DTYPE_BF16, 3, N_IN, N_IN},
                                            {f16, DTYPE_F16, 2, N_IN, N_IN},
                                            {values, DTYPE_F32, 4, N_IN, N_IN}};
        struct weight *weight = NULL;
        ck_assert_int_eq(any_backend->weight_create(device, WEIGHT_HEAD, parts, 3, NULL, 1, &weight, NULL),
                         STATUS_OK);
        any_backend->weight_free(device, weight);
        ck_assert_int_eq(any_backend->weight_create(device, WEIGHT_PRODUCT, parts, 3, NULL, 1, &weight, NULL),
                         STATUS_OK);
        void *x_there = any_put_floats(device, x, N_IN, type), *y_there = any_put(device, y, sizeof y);
        const struct matmul op = {.x = x_there,
                                  .x_type = type,
                                  .ld_x = N_IN,
                                  .rows = 1,
                                  .weight = weight,
                                  .y = y_there,
                                  .ld_y = N_OUT};
        any_backend->matmul(device, &op);
        any_get(device, y_there, sizeof y, y);
        if (variants[v].precision == PRECISION_FP8)
            any_round_e4m3(dense, N_OUT, N_IN), any_round_e4m3(x, 1, N_IN);
        else if (variants[v].precision == PRECISION_INT8)
            any_round_int8(dense, N_OUT, N_IN), any_round_int8(x, 1, N_IN);
        else
            any_round(dense, N_OUT * N_IN, type);
        reference_matmul(x, N_IN, 1, dense, N_OUT, N_IN, NULL, ACTIVATION_NONE, expected);
        check_close(y, expected, N_OUT, 2 * error_of_sums(N_IN), variants[v].name);
        any_backend->weight_free(device, weight);
        any_backend->release(device, x_there), any_backend->release(device, y_there);
        any_close(device);
        free(x);
    }
    free(values);
}
END_TEST

/* More than goes through the staging memory at once. */
START_TEST(test_a_large_weight)
{
    const struct shape shape = {1, 5000, ANY_COLUMNS, 0, 0, ACTIVATION_NONE, false, DTYPE_F32, 3};
    const struct any_variant *variants;
    struct problem problem;
    (void)any_variants(&variants);
    problem_init(&problem, &variants[0], WEIGHT_PRODUCT, &shape);
    multiply(&problem, 0, 1);
    check_product(&problem, "large");
    problem_release(&problem);
}
END_TEST

/* What fp8 costs: against the product of the numbers as they were, relative to the size of the results.
 * Weights and rows keep 3 bits of fraction: each is off by at most 2^-4, on average by about 2 %, and
 * independent errors add up like their squares. */
START_TEST(test_fp8_is_as_exact_as_fp8_can_be)
{
    enum { ROWS = 20, N_OUT = 50, N_IN = 1000 };
    const struct any_variant *variants;
    if (any_backend->on_host)
        return;
    (void)any_variants(&variants);
    const struct shape shape = {ROWS, N_OUT, N_IN, 0, 0, ACTIVATION_NONE, false, DTYPE_F32};
    struct problem problem;
    problem_init(&problem, &variants[2], WEIGHT_PRODUCT, &shape);
    float *w = random_floats(N_OUT * N_IN, 2, 0.25f), *x = random_floats(ROWS * N_IN, 1, 1), y[ROWS * N_OUT];
    double expected[ROWS * N_OUT], error = 0, size = 0;
    multiply(&problem, 0, ROWS);
    any_get(problem.device, problem.y_there, sizeof y, y);
    reference_matmul(x, N_IN, ROWS, w, N_OUT, N_IN, NULL, ACTIVATION_NONE, expected);
    for (int i = 0; i < ROWS * N_OUT; i++)
        error += pow(y[i] - expected[i], 2), size += pow(expected[i], 2);
    ck_assert_double_lt(sqrt(error / size), 0.05);
    ck_assert_double_gt(sqrt(error / size), 0.01); /* it really is fp8 */
    problem_release(&problem);
    free(w), free(x);
}
END_TEST

START_TEST(test_fp8_halves_the_memory)
{
    enum { N = 64 * 512, OF_F32 = N * 4, OF_BF16 = N * 2, OF_BYTES = N + 64 * 4 };
    const struct any_variant *variants;
    float *w = random_floats(N, 5, 1);
    for (int v = 0; v < any_variants(&variants); v++) {
        enum precision precision = variants[v].precision;
        struct device *device = any_open_variant(&variants[v]);
        struct weight *weight = make_weight(device, WEIGHT_PRODUCT, w, 64, 512, 0);
        ck_assert_uint_eq(any_backend->weight_bytes(device, WEIGHT_PRODUCT, 64, 512, NULL, 1),
                          precision == PRECISION_F32    ? OF_F32
                          : precision == PRECISION_BF16 ? OF_BF16
                                                        : OF_BYTES);
        any_backend->weight_free(device, weight);
        any_close(device);
    }
    free(w);
}
END_TEST

/* A number that is none makes its own row none, and no other. */
START_TEST(test_nan_stays_in_its_row)
{
    const struct shape shape = {70, 90, 48, 0, 0, ACTIVATION_GELU_TANH, true, DTYPE_F32};
    const struct any_variant *variants;
    for (int v = 0; v < any_variants(&variants); v++) {
        struct problem problem;
        problem_init(&problem, &variants[v], WEIGHT_PRODUCT, &shape);
        any_backend->release(problem.device, problem.x_there);
        problem.x[33 * 48 + 5] = NAN;
        problem.x_there = any_put_floats(problem.device, problem.x, 70 * 48, problem.x_type);
        float y[70 * 90];
        multiply(&problem, 0, 70);
        any_get(problem.device, problem.y_there, sizeof y, y);
        for (int i = 0; i < 70 * 90; i++)
            ck_assert_int_eq(isnan(y[i]) != 0, i / 90 == 33);
        problem_release(&problem);
    }
}
END_TEST

Suite *any_matmul_suite(void)
{
    Suite *suite = suite_create("matmul");
    TCase *tests = tcase_create("matmul");
    tcase_add_loop_test(tests, test_product_is_the_reference, 0, N_SHAPES);
    tcase_add_loop_test(tests, test_conditioning_product_is_the_reference, 0, N_SHAPES);
    tcase_add_loop_test(tests, test_rows_do_not_depend_on_rows, 0, 3);
    tcase_add_test(tests, test_weight_of_several_parts_and_formats);
    tcase_add_test(tests, test_a_large_weight);
    tcase_add_test(tests, test_fp8_is_as_exact_as_fp8_can_be);
    tcase_add_test(tests, test_fp8_halves_the_memory);
    tcase_add_test(tests, test_nan_stays_in_its_row);
    suite_add_tcase(suite, tests);
    return suite;
}
