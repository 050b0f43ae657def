#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/any.h"
#include "tests/kernels/support.h"
#include "tests/reference/reference.h"

/* Operations that go row by row, on any backend. */
static const struct {
    int rows, width;
} shapes[] = {{1, 2}, {3, 15}, {17, 16}, {16, 17}, {33, 192}, {5, 768}, {9, 1000}, {100, 331}, {7, 1024}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0], CONDITIONS = 3 };

/* Host data of norm_modulate or gated_add, and the same on the device. */
struct rows_data {
    struct device *device;
    int rows, width;
    float *x, *y, *vector, *modulation;
    int32_t *condition;
    void *x_there, *y_there, *vector_there, *modulation_there, *condition_there;
};

static void data_init(struct rows_data *data, const struct any_variant *variant, int rows, int width)
{
    size_t n = (size_t)rows * width;
    *data = (struct rows_data){.device = any_open_variant(variant), .rows = rows, .width = width};
    data->x = random_floats(n, 20, 3), data->y = random_floats(n, 25, 1);
    data->vector = random_floats(width, 21, 1);
    data->modulation = random_floats((size_t)CONDITIONS * 6 * width, 22, 0.5f);
    data->condition = random_ids(rows, 23, CONDITIONS);
    for (size_t i = 0; i < n; i++)
        data->x[i] += 5; /* a mean that is not nothing */
    data->x_there = any_put(data->device, data->x, n * sizeof(float));
    data->y_there = any_put(data->device, data->y, n * sizeof(float));
    data->vector_there = any_put(data->device, data->vector, width * sizeof(float));
    data->modulation_there =
        any_put(data->device, data->modulation, (size_t)CONDITIONS * 6 * width * sizeof(float));
    data->condition_there = any_put(data->device, data->condition, rows * sizeof(int32_t));
}

static void data_release(struct rows_data *data)
{
    void *const there[] = {data->x_there, data->y_there, data->vector_there, data->modulation_there,
                           data->condition_there};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        any_backend->release(data->device, there[i]);
    any_close(data->device);
    free(data->x), free(data->y), free(data->vector), free(data->modulation), free(data->condition);
}

static struct norm_modulate norm_there(const struct rows_data *data)
{
    int64_t width = data->width;
    return (struct norm_modulate){data->x_there,          data->vector_there, data->rows, data->width,
                                  data->modulation_there, 6 * width,          3 * width,  4 * width,
                                  data->condition_there,  data->y_there};
}

START_TEST(test_norm_modulate)
{
    const struct any_variant *variants;
    for (int v = 0; v < any_variants(&variants); v++) {
        struct rows_data data;
        data_init(&data, &variants[v], shapes[_i].rows, shapes[_i].width);
        size_t n = (size_t)data.rows * data.width;
        enum dtype type = any_backend->activation_type(data.device);
        double *expected = cleared(n, sizeof *expected);
        struct norm_modulate op = norm_there(&data);
        any_backend->norm_modulate(data.device, &op);
        any_get_floats(data.device, data.y_there, n, type, data.y);
        op.x = data.x, op.weight = data.vector, op.modulation = data.modulation,
        op.condition_of_row = data.condition;
        reference_norm_modulate(&op, expected);
        check_close(data.y, expected, n, 4e-6 + any_rounding(type), variants[v].name);
        free(expected);
        data_release(&data);
    }
}
END_TEST

START_TEST(test_gated_add)
{
    const struct any_variant *variants;
    int n_variants = any_variants(&variants);
    for (int v = 0; v < 2 * n_variants; v++) {
        struct rows_data data;
        const struct any_variant *variant = &variants[v % n_variants];
        data_init(&data, variant, shapes[_i].rows, shapes[_i].width);
        size_t n = (size_t)data.rows * data.width;
        bool with_bias = v >= n_variants;
        double *expected = cleared(n, sizeof *expected);
        struct gated_add op = {.x = data.x,
                               .y = data.y,
                               .bias = with_bias ? data.vector : NULL,
                               .rows = data.rows,
                               .width = data.width,
                               .modulation = data.modulation,
                               .ld_modulation = 6 * (int64_t)data.width,
                               .gate_offset = 2 * (int64_t)data.width,
                               .condition_of_row = data.condition};
        reference_gated_add(&op, expected);
        op.x = data.x_there, op.y = data.y_there, op.bias = with_bias ? data.vector_there : NULL;
        op.modulation = data.modulation_there, op.condition_of_row = data.condition_there;
        any_backend->gated_add(data.device, &op);
        any_get(data.device, data.x_there, n * sizeof(float), data.x);
        check_close(data.x, expected, n, 3e-7, variant->name);
        free(expected);
        data_release(&data);
    }
}
END_TEST

/* Row i alone has the bits that it has among others. */
START_TEST(test_norm_does_not_depend_on_rows)
{
    const struct any_variant *variants;
    for (int v = 0; v < any_variants(&variants); v++) {
        struct rows_data data;
        data_init(&data, &variants[v], 40, 200);
        size_t row_bytes = 200 * dtype_bytes(any_backend->activation_type(data.device));
        char *all = cleared(40, row_bytes), *alone = cleared(1, row_bytes);
        struct norm_modulate op = norm_there(&data);
        any_backend->norm_modulate(data.device, &op);
        any_get(data.device, data.y_there, 40 * row_bytes, all);
        op.rows = 1;
        for (int row = 0; row < 40; row += 13) {
            op.x = (float *)data.x_there + row * 200,
            op.condition_of_row = (int32_t *)data.condition_there + row;
            any_backend->norm_modulate(data.device, &op);
            any_get(data.device, data.y_there, row_bytes, alone);
            check_same_bits(alone, all + row * row_bytes, row_bytes, variants[v].name);
        }
        free(all), free(alone);
        data_release(&data);
    }
}
END_TEST

static void check_embed_and_gather(enum precision precision, int width)
{
    enum { N = 20, FIRST = 30, ROWS = 50 };
    struct device *device = any_open(precision);
    enum dtype type = any_backend->table_type(device);
    float *table = random_floats(N * width, 30, 1), *x = cleared(ROWS * width, sizeof *x);
    float *y = cleared(ROWS * width, sizeof *y);
    int32_t *ids = random_ids(ROWS, 31, 80), *index = random_ids(ROWS, 32, ROWS);
    size_t n_bytes = ROWS * width * sizeof *x;
    int inside = 0;
    memset(x, 0x55, n_bytes);
    void *table_there = any_put_floats(device, table, N * width, type),
         *x_there = any_put(device, x, n_bytes);
    void *y_there = any_put(device, x, n_bytes), *ids_there = any_put(device, ids, ROWS * sizeof *ids);
    void *index_there = any_put(device, index, ROWS * sizeof *index);
    any_backend->embed(device, table_there, FIRST, N, width, ids_there, ROWS, x_there);
    any_backend->gather_rows(device, x_there, width * sizeof *x, index_there, ROWS, y_there);
    any_get(device, x_there, n_bytes, x);
    any_get(device, y_there, n_bytes, y);
    any_round(table, N * width, type);
    for (int i = 0; i < ROWS; i++) {
        int here = ids[i] >= FIRST && ids[i] < FIRST + N;
        inside += here;
        for (int d = 0; d < width; d++)
            ck_assert_float_eq(x[i * width + d], here ? table[(ids[i] - FIRST) * width + d] : 0);
        check_same_bits(y + i * width, x + index[i] * width, width * sizeof *y, "gather");
    }
    ck_assert_int_gt(inside, 0);
    ck_assert_int_lt(inside, ROWS);
    void *const there[] = {table_there, x_there, y_there, ids_there, index_there};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        any_backend->release(device, there[i]);
    any_close(device);
    free(table), free(x), free(y), free(ids), free(index);
}

START_TEST(test_embed_and_gather)
{
    check_embed_and_gather(PRECISION_AUTO, _i);
    check_embed_and_gather(PRECISION_BF16, _i);
}
END_TEST

START_TEST(test_ids_between_steps)
{
    enum { N = 300, RANKS = 3 };
    struct device *device = any_open(PRECISION_AUTO);
    int32_t *ids = random_ids(N, 40, 1000), *index = random_ids(N, 41, 2 * N),
            *other = random_ids(N, 42, 1000);
    int32_t y[N], row[N], after[N];
    struct drawn_token *drawn = cleared(RANKS * N, sizeof *drawn);
    for (int i = 0; i < N; i++) {
        index[i] = index[i] < N ? index[i] : -1;
        row[i] = (i * 7 + 3) % N;
        after[i] = ids[i];
        for (int rank = 0; rank < RANKS; rank++)
            drawn[rank * N + i].token = -1;
        if (i % 4 != 0) /* one of the ranks has drawn it */
            drawn[i % RANKS * N + i].token = i + 5000;
    }
    for (int i = 0; i < N; i++)
        after[row[i]] = i % 4 != 0 ? i + 5000 : after[row[i]];
    void *ids_there = any_put(device, ids, sizeof y), *index_there = any_put(device, index, sizeof y);
    void *other_there = any_put(device, other, sizeof y), *y_there = any_put(device, other, sizeof y);
    void *row_there = any_put(device, row, sizeof row),
         *drawn_there = any_put(device, drawn, RANKS * N * sizeof *drawn);
    any_backend->select_ids(device, ids_there, index_there, other_there, N, y_there);
    any_get(device, y_there, sizeof y, y);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(y[i], index[i] >= 0 ? ids[index[i]] : other[i]);
    any_backend->write_drawn(device, drawn_there, RANKS, row_there, N, ids_there);
    any_get(device, ids_there, sizeof y, y);
    check_same_bits(y, after, sizeof y, "write_drawn");
    void *const there[] = {ids_there, index_there, other_there, y_there, row_there, drawn_there};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        any_backend->release(device, there[i]);
    any_close(device);
    free(ids), free(index), free(other), free(drawn);
}
END_TEST

START_TEST(test_add)
{
    static const int sizes[] = {0, 2, 15, 17, 100, 1023, 5001, 16385, 16385, 50002};
    enum { MOST = 50002 };
    float *a = random_floats(MOST, 33, 1), *b = random_floats(MOST, 34, 1), *y = cleared(MOST + 1, sizeof *y);
    const struct any_variant *variants;
    for (int v = 0; v < any_variants(&variants); v++) {
        struct device *device = any_open_variant(&variants[v]);
        void *b_there = any_put(device, b, MOST * sizeof *b);
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            int n = sizes[s], n_right = 0, odd = s % 2; /* also from an address that no vector begins at */
            memcpy(y, a, MOST * sizeof *y);
            y[MOST] = 0, y[n] = 99;
            float *y_there = any_put(device, y, (MOST + 1) * sizeof *y);
            if (n > odd)
                any_backend->add(device, y_there + odd, (float *)b_there + odd, n - odd, y_there + odd);
            any_get(device, y_there, (MOST + 1) * sizeof *y, y);
            while (n_right < n &&
                   y[n_right] == (n > odd && n_right >= odd ? a[n_right] + b[n_right] : a[n_right]))
                n_right++;
            ck_assert_int_eq(n_right, n);
            ck_assert_float_eq(y[n], 99);
            any_backend->release(device, y_there);
        }
        any_backend->release(device, b_there);
        any_close(device);
    }
    free(a), free(b), free(y);
}
END_TEST

Suite *any_rows_suite(void)
{
    Suite *suite = suite_create("rows");
    TCase *tests = tcase_create("rows");
    tcase_add_loop_test(tests, test_norm_modulate, 0, N_SHAPES);
    tcase_add_loop_test(tests, test_gated_add, 0, N_SHAPES);
    tcase_add_test(tests, test_norm_does_not_depend_on_rows);
    tcase_add_loop_test(tests, test_embed_and_gather, 36, 38);
    tcase_add_test(tests, test_ids_between_steps);
    tcase_add_test(tests, test_add);
    suite_add_tcase(suite, tests);
    return suite;
}
