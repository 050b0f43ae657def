#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/support.h"
#include "tests/kernels/tile_model.h"

/* Bits of products on the CPU: how they are defined, and what they do not depend on. What is close to the
 * product is said by test_any_matmul.c. */

/* Frees the weight. */
static void multiply(struct device *device, struct matmul op, struct weight *weight)
{
    op.weight = weight;
    backend_cpu.matmul(device, &op);
    backend_cpu.weight_free(device, weight);
}

START_TEST(test_rows_do_not_depend_on_rows_threads_or_machine)
{
    enum { ROWS = 1100, N_OUT = 150, N_IN = 200 };
    static const int counts[] = {1,  2,  3,   5,   6,   7,    13,   14,   15,  27,
                                 28, 29, 100, 127, 500, 1000, 1008, 1009, 1100};
    int32_t leaves[MATMUL_LEAVES + 1];
    cut_leaves(N_IN, MATMUL_LEAVES, leaves);
    float *x = random_floats(ROWS * N_IN, 4, 1), *w = random_floats(N_OUT * N_IN, 5, 0.3f);
    float *bias = random_floats(N_OUT, 6, 1), *y = cleared(ROWS * N_OUT, sizeof *y);
    float *all = cleared(ROWS * N_OUT, sizeof *all);
    struct matmul op = {.x = x,
                        .ld_x = N_IN,
                        .rows = ROWS,
                        .bias = bias,
                        .activation = ACTIVATION_GELU_TANH,
                        .y = all,
                        .ld_y = N_OUT};
    struct device *device = open_device(machine_isas()[0], 1);
    multiply(device, op, weight_of(device, w, N_OUT, N_IN, leaves, MATMUL_LEAVES));
    finish_device(device);
    op.y = y;
    for (const char *const *isa = machine_isas(); *isa != NULL; isa++)
        for (int n_threads = 1; n_threads <= 3; n_threads++) {
            device = open_device(*isa, n_threads);
            for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
                int first = ROWS - counts[i];
                op.rows = counts[i], op.x = x + first * N_IN;
                multiply(device, op, weight_of(device, w, N_OUT, N_IN, leaves, MATMUL_LEAVES));
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
    const struct matmul op = {.x = x, .ld_x = N_IN, .rows = ROWS, .bias = bias, .y = y, .ld_y = N_OUT};
    for (const char *const *isa = machine_isas(); *isa != NULL; isa++) {
        struct device *device = open_device(*isa, 2);
        multiply(device, op, weight_of(device, w, N_OUT, N_IN, leaves, MATMUL_LEAVES));
        finish_device(device);
        check_same_bits(y, expected, sizeof y, *isa);
    }
    free(x), free(w), free(bias);
}
END_TEST

/* In bfloat16: each leaf is what the tile unit would make of it, with zeros after its last input. The smaller
 * numbers give products that are subnormal, and the smallest are subnormal themselves. */
static float leaf_of_tiles(const uint16_t *a, const uint16_t *b, int n)
{
    float sum = 0;
    for (int k = 0; k < n; k += 32) {
        uint16_t left[32] = {0}, right[32] = {0};
        size_t bytes = sizeof *a * (n - k < 32 ? n - k : 32);
        memcpy(left, a + k, bytes);
        memcpy(right, b + k, bytes);
        sum = tile_model_bf16(sum, left, right);
    }
    return sum;
}

static float flushed_sum(float a, float b)
{
    return tile_model_flush(a + b);
}

START_TEST(test_every_bit_of_bf16_is_defined)
{
    enum { ROWS = 23, N_OUT = 45, N_IN = 405 };
    static const float scales[] = {1, 2e-19f, 3e-20f, 1e-38f};
    int32_t leaves[MATMUL_LEAVES + 1];
    cut_leaves(N_IN, MATMUL_LEAVES, leaves);
    float *x = random_floats(ROWS * N_IN, 16, scales[_i]), *w = random_floats(N_OUT * N_IN, 17, scales[_i]);
    uint16_t *x_words = words_of(x, ROWS * N_IN), *w_words = words_of(w, N_OUT * N_IN);
    float y[ROWS * N_OUT], expected[ROWS * N_OUT];
    for (int i = 0; i < ROWS * N_OUT; i++) {
        const uint16_t *a = x_words + i / N_OUT * N_IN, *b = w_words + i % N_OUT * N_IN;
        float sum[MATMUL_LEAVES];
        for (int leaf = 0; leaf < MATMUL_LEAVES; leaf++)
            sum[leaf] = leaf_of_tiles(a + leaves[leaf], b + leaves[leaf], leaves[leaf + 1] - leaves[leaf]);
        for (int n = MATMUL_LEAVES / 2; n > 0; n /= 2)
            for (int pair = 0; pair < n; pair++)
                sum[pair] = flushed_sum(sum[2 * pair], sum[2 * pair + 1]);
        expected[i] = sum[0];
    }
    for (const char *const *isa = machine_isas(); *isa != NULL; isa++)
        for (int rows = ROWS; rows > 0; rows = rows * 2 / 3) { /* many rows and few go different ways */
            const struct matmul op = {
                .x = x_words, .x_type = DTYPE_BF16, .ld_x = N_IN, .rows = rows, .y = y, .ld_y = N_OUT};
            struct device *device = open_device_for(*isa, PRECISION_BF16, 2);
            multiply(device, op, weight_of(device, w, N_OUT, N_IN, leaves, MATMUL_LEAVES));
            finish_device(device);
            check_same_bits(y, expected, (size_t)rows * N_OUT * sizeof *y, *isa);
        }
    free(x), free(w), free(x_words), free(w_words);
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
    multiply(device, op, weight_of(device, w, N_OUT, N_IN, NULL, 1));
    for (int first = 0; first < N_OUT; first += 24) {
        struct weight *weight = weight_slice(device, w, N_IN, first, 24, 0, N_IN, NULL, 1);
        ck_assert_uint_eq(backend_cpu.weight_bytes(device, WEIGHT_PRODUCT, 24, N_IN, NULL, 1),
                          32 * N_IN * sizeof *w); /* panels of 16 */
        op.y = part + first;
        multiply(device, op, weight);
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
    const int n_ranks = 2 << _i % 3;
    static const enum precision precisions[] = {PRECISION_F32, PRECISION_BF16, PRECISION_INT8};
    const enum precision precision = precisions[_i / 3];
    int32_t leaves[MATMUL_LEAVES + 1], own[MATMUL_LEAVES + 1];
    cut_leaves(N_IN, MATMUL_LEAVES, leaves);
    float *x = random_floats(ROWS * N_IN, 9, 1), *w = random_floats(N_OUT * N_IN, 10, 0.3f);
    float *whole = cleared(SIZE, sizeof *whole), *parts = cleared((size_t)n_ranks * SIZE, sizeof *parts);
    uint16_t *words = words_of(x, ROWS * N_IN);
    struct device *device = open_device_for(machine_isas()[0], precision, 2);
    struct matmul op = {.x = precision == PRECISION_F32 ? (void *)x : words,
                        .ld_x = N_IN,
                        .rows = ROWS,
                        .y = whole,
                        .ld_y = N_OUT};
    multiply(device, op, weight_of(device, w, N_OUT, N_IN, leaves, MATMUL_LEAVES));
    for (int rank = 0; rank < n_ranks; rank++) {
        int n = MATMUL_LEAVES / n_ranks, first = leaves[rank * n];
        for (int i = 0; i <= n; i++)
            own[i] = leaves[rank * n + i] - first;
        if (own[n] == 0)
            continue; /* no columns: the rank's part is zeros */
        op.x = precision == PRECISION_F32 ? (void *)(x + first) : words + first;
        op.y = parts + rank * SIZE;
        multiply(device, op, weight_slice(device, w, N_IN, 0, N_OUT, first, own[n], own, n));
    }
    for (int distance = 1; distance < n_ranks; distance *= 2)
        for (int rank = 0; rank < n_ranks; rank += 2 * distance)
            backend_cpu.add(device, parts + rank * SIZE, parts + (rank + distance) * SIZE, SIZE,
                            parts + rank * SIZE);
    check_same_bits(whole, parts, SIZE * sizeof *whole, "leaves");
    finish_device(device);
    free(x), free(w), free(words), free(whole), free(parts);
}
END_TEST

Suite *matmul_suite(void)
{
    Suite *suite = suite_create("matmul");
    TCase *tests = tcase_create("matmul");
    tcase_add_test(tests, test_rows_do_not_depend_on_rows_threads_or_machine);
    tcase_add_test(tests, test_every_bit_is_defined);
    tcase_add_loop_test(tests, test_every_bit_of_bf16_is_defined, 0, 4);
    tcase_add_test(tests, test_split_by_output_gives_the_same_bits);
    tcase_add_loop_test(tests, test_split_by_leaves_gives_the_same_bits, 0, 9);
    suite_add_tcase(suite, tests);
    return suite;
}
