#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/support.h"
#include "tests/reference/reference.h"

static const double tolerance = 2e-6; /* sums of up to 1024 products of magnitude below 1/4 */

struct shape {
    int rows, n_out, n_in, n_leaves;
    enum activation activation;
    int with_bias;
};

static const struct shape shapes[] = {
    {1, 1, 1, 1, ACTIVATION_NONE, 0},         {1, 768, 96, 1, ACTIVATION_NONE, 1},
    {2, 15, 33, 1, ACTIVATION_SILU, 1},       {3, 16, 64, 8, ACTIVATION_NONE, 0},
    {5, 17, 100, 8, ACTIVATION_GELU_TANH, 1}, {13, 31, 77, 2, ACTIVATION_NONE, 1},
    {14, 32, 128, 4, ACTIVATION_SILU, 0},     {15, 33, 129, 1, ACTIVATION_GELU_TANH, 0},
    {29, 200, 1024, 8, ACTIVATION_NONE, 1},   {128, 97, 50, 16, ACTIVATION_GELU_TANH, 1},
    {1009, 40, 30, 1, ACTIVATION_NONE, 1},    {1100, 18, 7, 8, ACTIVATION_SILU, 1},
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static void multiply(struct device *device, const struct shape *shape, const float *x, int64_t ld_x,
                     const float *w, const float *bias, float *y, int64_t ld_y)
{
    int32_t leaves[65];
    cut_leaves(shape->n_in, shape->n_leaves, leaves);
    struct weight *weight = weight_of(device, w, shape->n_out, shape->n_in, leaves, shape->n_leaves);
    const struct matmul op = {.x = x,
                              .ld_x = ld_x,
                              .rows = shape->rows,
                              .weight = weight,
                              .bias = shape->with_bias ? bias : NULL,
                              .activation = shape->activation,
                              .y = y,
                              .ld_y = ld_y};
    backend_cpu.matmul(device, &op);
    backend_cpu.weight_free(device, weight);
}

START_TEST(test_matmul_is_the_reference)
{
    const struct shape *shape = &shapes[_i];
    int64_t ld_x = shape->n_in + 3, ld_y = shape->n_out + 5;
    float *x = random_floats((size_t)shape->rows * ld_x, 1, 1), *bias = random_floats(shape->n_out, 3, 1);
    float *w = random_floats((size_t)shape->n_out * shape->n_in, 2, 0.25f);
    float *y = cleared((size_t)shape->rows * ld_y, sizeof *y);
    double *expected = cleared((size_t)shape->rows * shape->n_out, sizeof *expected);
    reference_matmul(x, ld_x, shape->rows, w, shape->n_out, shape->n_in, shape->with_bias ? bias : NULL,
                     shape->activation, expected);
    for (const char *const *isa = machine_isas(); *isa != NULL; isa++) {
        struct device *device = open_device(*isa, 2);
        for (int64_t i = 0; i < shape->rows * ld_y; i++)
            y[i] = 77;
        multiply(device, shape, x, ld_x, w, bias, y, ld_y);
        finish_device(device);
        for (int i = 0; i < shape->rows; i++) {
            check_close(y + i * ld_y, expected + (int64_t)i * shape->n_out, (size_t)shape->n_out, tolerance,
                        *isa);
            for (int j = shape->n_out; j < ld_y; j++)
                ck_assert_float_eq(y[i * ld_y + j], 77);
        }
    }
    free(x), free(bias), free(w), free(y), free(expected);
}
END_TEST

START_TEST(test_rows_do_not_depend_on_rows_threads_or_machine)
{
    enum { ROWS = 1100, N_OUT = 150, N_IN = 200 };
    static const int counts[] = {1,  2,  3,   5,   6,   7,    13,   14,   15,  27,
                                 28, 29, 100, 127, 500, 1000, 1008, 1009, 1100};
    struct shape shape = {ROWS, N_OUT, N_IN, 8, ACTIVATION_GELU_TANH, 1};
    float *x = random_floats(ROWS * N_IN, 4, 1), *w = random_floats(N_OUT * N_IN, 5, 0.3f);
    float *bias = random_floats(N_OUT, 6, 1), *y = cleared(ROWS * N_OUT, sizeof *y);
    float *all = cleared(ROWS * N_OUT, sizeof *all);
    struct device *device = open_device(machine_isas()[0], 1);
    multiply(device, &shape, x, N_IN, w, bias, all, N_OUT);
    finish_device(device);
    for (const char *const *isa = machine_isas(); *isa != NULL; isa++)
        for (int n_threads = 1; n_threads <= 3; n_threads++) {
            device = open_device(*isa, n_threads);
            for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
                int first = ROWS - counts[i];
                shape.rows = counts[i];
                multiply(device, &shape, x + first * N_IN, N_IN, w, bias, y, N_OUT);
                check_same_bits(y, all + first * N_OUT, (size_t)counts[i] * N_OUT * sizeof *y, *isa);
            }
            finish_device(device);
        }
    free(x), free(w), free(bias), free(y), free(all);
}
END_TEST

/* The definition, bit for bit: a chain of fused multiply-adds for each leaf, leaves added two by two, then
 * the bias. */
START_TEST(test_every_bit_is_defined)
{
    enum { ROWS = 5, N_OUT = 19, N_IN = 205 };
    int32_t leaves[MATMUL_LEAVES + 1];
    cut_leaves(N_IN, MATMUL_LEAVES, leaves);
    float *x = random_floats(ROWS * N_IN, 13, 1), *w = random_floats(N_OUT * N_IN, 14, 0.3f);
    float *bias = random_floats(N_OUT, 15, 1), y[ROWS * N_OUT], expected[ROWS * N_OUT];
    for (int i = 0; i < ROWS * N_OUT; i++) {
        const float *a = x + i / N_OUT * N_IN, *b = w + i % N_OUT * N_IN;
        float sum[MATMUL_LEAVES] = {0};
        for (int leaf = 0; leaf < MATMUL_LEAVES; leaf++)
            for (int k = leaves[leaf]; k < leaves[leaf + 1]; k++)
                sum[leaf] = fmaf(a[k], b[k], sum[leaf]);
        float tree = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
        expected[i] = tree + bias[i % N_OUT];
    }
    const struct shape shape = {ROWS, N_OUT, N_IN, MATMUL_LEAVES, ACTIVATION_NONE, 1};
    for (const char *const *isa = machine_isas(); *isa != NULL; isa++) {
        struct device *device = open_device(*isa, 2);
        multiply(device, &shape, x, N_IN, w, bias, y, N_OUT);
        finish_device(device);
        check_same_bits(y, expected, sizeof y, *isa);
    }
    free(x), free(w), free(bias);
}
END_TEST

/* How ranks share a weight by output: each has some columns. */
START_TEST(test_split_by_output_gives_the_same_bits)
{
    enum { ROWS = 37, N_OUT = 96, N_IN = 130 };
    float *x = random_floats(ROWS * N_IN, 7, 1), *w = random_floats(N_OUT * N_IN, 8, 0.3f);
    float *whole = cleared(ROWS * N_OUT, sizeof *whole), *part = cleared(ROWS * N_OUT, sizeof *part);
    struct device *device = open_device(machine_isas()[0], 2);
    struct matmul op = {.x = x, .ld_x = N_IN, .rows = ROWS, .y = whole, .ld_y = N_OUT};
    struct weight *weight = weight_of(device, w, N_OUT, N_IN, NULL, 1);
    op.weight = weight;
    backend_cpu.matmul(device, &op);
    backend_cpu.weight_free(device, weight);
    for (int first = 0; first < N_OUT; first += 24) {
        op.weight = weight = weight_slice(device, w, N_IN, first, 24, 0, N_IN, NULL, 1);
        op.y = part + first;
        backend_cpu.matmul(device, &op);
        backend_cpu.weight_free(device, weight);
    }
    check_same_bits(whole, part, ROWS * N_OUT * sizeof *whole, "columns");
    finish_device(device);
    free(x), free(w), free(whole), free(part);
}
END_TEST

/* How ranks share a weight by input: each has 8 / n leaves; the partial sums are added in the same tree. */
START_TEST(test_split_by_leaves_gives_the_same_bits)
{
    enum { ROWS = 31, N_OUT = 50, N_IN = 203, SIZE = ROWS * N_OUT };
    const int n_ranks = 2 << _i;
    int32_t leaves[MATMUL_LEAVES + 1], own[MATMUL_LEAVES + 1];
    cut_leaves(N_IN, MATMUL_LEAVES, leaves);
    float *x = random_floats(ROWS * N_IN, 9, 1), *w = random_floats(N_OUT * N_IN, 10, 0.3f);
    float *whole = cleared(SIZE, sizeof *whole), *parts = cleared((size_t)n_ranks * SIZE, sizeof *parts);
    struct device *device = open_device(machine_isas()[0], 2);
    struct matmul op = {.x = x, .ld_x = N_IN, .rows = ROWS, .y = whole, .ld_y = N_OUT};
    struct weight *weight = weight_of(device, w, N_OUT, N_IN, leaves, MATMUL_LEAVES);
    op.weight = weight;
    backend_cpu.matmul(device, &op);
    backend_cpu.weight_free(device, weight);
    for (int rank = 0; rank < n_ranks; rank++) {
        int n = MATMUL_LEAVES / n_ranks, first = leaves[rank * n];
        for (int i = 0; i <= n; i++)
            own[i] = leaves[rank * n + i] - first;
        if (own[n] == 0)
            continue; /* no columns: the rank's part is zeros */
        op.weight = weight = weight_slice(device, w, N_IN, 0, N_OUT, first, own[n], own, n);
        op.x = x + first;
        op.y = parts + rank * SIZE;
        backend_cpu.matmul(device, &op);
        backend_cpu.weight_free(device, weight);
    }
    for (int distance = 1; distance < n_ranks; distance *= 2)
        for (int rank = 0; rank < n_ranks; rank += 2 * distance)
            backend_cpu.add(device, parts + rank * SIZE, parts + (rank + distance) * SIZE, SIZE,
                            parts + rank * SIZE);
    check_same_bits(whole, parts, SIZE * sizeof *whole, "leaves");
    finish_device(device);
    free(x), free(w), free(whole), free(parts);
}
END_TEST

START_TEST(test_weight_of_several_parts_and_formats)
{
    enum { N_IN = 300 };
    uint16_t bf16[3 * N_IN], f16[2 * N_IN];
    float f32[4 * N_IN], dense[9 * N_IN], x[N_IN], y[9];
    double expected[9];
    float *values = random_floats(9 * N_IN, 11, 1), *inputs = random_floats(N_IN, 12, 1);
    for (int i = 0; i < 3 * N_IN; i++)
        bf16[i] = (uint16_t)(0x3F00 + i % 160);
    for (int i = 0; i < 2 * N_IN; i++)
        f16[i] = (uint16_t)(0x3800 + 7 * i % 1024);
    memcpy(f32, values, sizeof f32);
    memcpy(x, inputs, sizeof x);
    dtype_to_float(DTYPE_BF16, bf16, 3 * N_IN, dense);
    dtype_to_float(DTYPE_F16, f16, 2 * N_IN, dense + 3 * N_IN);
    memcpy(dense + 5 * N_IN, f32, sizeof f32);
    const struct matrix_view parts[] = {
        {bf16, DTYPE_BF16, 3, N_IN, N_IN}, {f16, DTYPE_F16, 2, N_IN, N_IN}, {f32, DTYPE_F32, 4, N_IN, N_IN}};
    struct device *device = open_device(machine_isas()[0], 1);
    struct weight *weight;
    ck_assert_int_eq(backend_cpu.weight_create(device, WEIGHT_PRODUCT, parts, 3, NULL, 1, &weight, NULL),
                     STATUS_OK);
    ck_assert_uint_eq(backend_cpu.weight_bytes(weight), 16 * N_IN * sizeof(float));
    const struct matmul op = {.x = x, .ld_x = N_IN, .rows = 1, .weight = weight, .y = y, .ld_y = 9};
    backend_cpu.matmul(device, &op);
    reference_matmul(x, N_IN, 1, dense, 9, N_IN, NULL, ACTIVATION_NONE, expected);
    check_close(y, expected, 9, 1e-5, "parts");
    backend_cpu.weight_free(device, weight);
    finish_device(device);
    free(values), free(inputs);
}
END_TEST

/* A rank may hold no output, or no input, of a layer: nothing is written, or the bias alone. */
START_TEST(test_empty_weights)
{
    static const struct shape no_output = {3, 0, 20, 1, ACTIVATION_NONE, 0},
                              no_input = {3, 20, 0, 8, ACTIVATION_NONE, 1};
    float *bias = random_floats(20, 16, 1), y[60], x[60] = {0};
    struct device *device = open_device(machine_isas()[0], 2);
    y[0] = 5;
    multiply(device, &no_output, x, 20, x, bias, y, 20);
    ck_assert_float_eq(y[0], 5);
    multiply(device, &no_input, x, 0, x, bias, y, 20);
    for (int i = 0; i < 3; i++)
        check_same_bits(y + 20 * i, bias, 20 * sizeof *y, "bias");
    finish_device(device);
    free(bias);
}
END_TEST

START_TEST(test_weight_refuses_what_it_cannot_hold)
{
    static const float w[8];
    const struct matrix_view good[] = {{w, DTYPE_F32, 2, 4, 4}, {w, DTYPE_F32, 2, 3, 4}};
    const struct matrix_view wrong = {w, DTYPE_I64, 1, 4, 4};
    const int32_t falls[] = {0, 3, 4}, short_of[] = {0, 1, 3}, fine[] = {0, 1, 2, 4};
    struct device *device = open_device("generic", 1);
    struct weight *weight;
    struct error error;
    ck_assert_int_eq(backend_cpu.weight_create(device, WEIGHT_PRODUCT, good, 2, NULL, 1, &weight, &error),
                     STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, "part 1 of a weight has 3 columns, part 0 has 4");
    ck_assert_int_eq(backend_cpu.weight_create(device, WEIGHT_PRODUCT, &wrong, 1, NULL, 1, &weight, &error),
                     STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(backend_cpu.weight_create(device, WEIGHT_PRODUCT, good, 0, NULL, 1, &weight, &error),
                     STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(backend_cpu.weight_create(device, WEIGHT_PRODUCT, good, 1, NULL, 2, &weight, &error),
                     STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(backend_cpu.weight_create(device, WEIGHT_PRODUCT, good, 1, fine, 3, &weight, &error),
                     STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(backend_cpu.weight_create(device, WEIGHT_PRODUCT, good, 1, short_of, 2, &weight, &error),
                     STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(backend_cpu.weight_create(device, WEIGHT_PRODUCT, good, 1, falls, 2, &weight, &error),
                     STATUS_OK);
    backend_cpu.weight_free(device, weight);
    finish_device(device);
}
END_TEST

Suite *matmul_suite(void)
{
    Suite *suite = suite_create("matmul");
    TCase *tests = tcase_create("matmul");
    tcase_add_loop_test(tests, test_matmul_is_the_reference, 0, N_SHAPES);
    tcase_add_test(tests, test_rows_do_not_depend_on_rows_threads_or_machine);
    tcase_add_test(tests, test_every_bit_is_defined);
    tcase_add_test(tests, test_split_by_output_gives_the_same_bits);
    tcase_add_loop_test(tests, test_split_by_leaves_gives_the_same_bits, 0, 3);
    tcase_add_test(tests, test_weight_of_several_parts_and_formats);
    tcase_add_test(tests, test_empty_weights);
    tcase_add_test(tests, test_weight_refuses_what_it_cannot_hold);
    suite_add_tcase(suite, tests);
    return suite;
}
