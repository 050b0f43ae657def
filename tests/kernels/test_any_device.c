#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/any.h"
#include "tests/kernels/support.h"

/* Opening, memory, order, marks, segments and the first failure, on any backend. */

START_TEST(test_open_refuses)
{
    struct device_options options = {.n_threads = 1, .max_rows = 0, .max_positions = 1, .max_columns = 1};
    struct device *device = NULL;
    struct error error;
    ck_assert_int_eq(any_backend->open(&device, &options, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, "device option max_rows is 0; it must be 1 to 16777216");
    ck_assert_ptr_null(device);
    any_backend->close(NULL);
}
END_TEST

START_TEST(test_memory_is_cleared_and_aligned)
{
    static const size_t sizes[] = {1, 64, 1000, 3 << 20};
    struct device *device = any_open(PRECISION_AUTO);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *memory = any_backend->allocate(device, sizes[i]), *copy = cleared(sizes[i], 1),
             *zeros = cleared(sizes[i], 1);
        ck_assert_ptr_nonnull(memory);
        ck_assert_uint_eq((uintptr_t)memory % 64, 0);
        memset(copy, 1, sizes[i]);
        any_get(device, memory, sizes[i], copy);
        check_same_bits(copy, zeros, sizes[i], "fresh memory");
        any_backend->release(device, memory);
        free(copy), free(zeros);
    }
    any_backend->release(device, NULL);
    struct device_memory memory = any_backend->memory(device);
    ck_assert_uint_gt(memory.free_bytes, 0);
    ck_assert_uint_le(memory.free_bytes, memory.total_bytes);
    any_close(device);
}
END_TEST

/* Ordinary memory may be used again when `upload` returns; pinned memory when a mark behind the copy has been
 * waited for. */
START_TEST(test_copies_and_marks)
{
    enum { N = 5000 };
    struct device *device = any_open(PRECISION_AUTO);
    int32_t *there = any_backend->allocate(device, N * sizeof *there), ordinary[N], back[N];
    int32_t *pinned = any_backend->host_allocate(device, N * sizeof *pinned);
    ck_assert_ptr_nonnull(pinned);
    ck_assert_int_eq(pinned[N - 1], 0);
    for (int i = 0; i < N; i++)
        ordinary[i] = i;
    any_backend->upload(device, there, ordinary, sizeof ordinary);
    memset(ordinary, 0xFF, sizeof ordinary);
    any_backend->download(device, pinned, there, sizeof back);
    any_backend->mark(device, DEVICE_MARKS - 1);
    any_backend->upload(device, there, ordinary, sizeof ordinary);
    ck_assert_int_eq(any_backend->wait(device, DEVICE_MARKS - 1, NULL), STATUS_OK);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(pinned[i], i);
    any_get(device, there, sizeof back, back);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(back[i], -1);
    any_backend->release(device, there);
    any_backend->host_release(device, pinned);
    any_close(device);
}
END_TEST

/* However much of it there is, and in pieces of any size. */
START_TEST(test_ordinary_memory_is_free_again)
{
    enum { PIECE = 24999, N_PIECES = 40, BIG = 700001, N = PIECE * N_PIECES + BIG };
    struct device *device = any_open(PRECISION_AUTO);
    int32_t *there = any_backend->allocate(device, N * sizeof *there);
    int32_t *ordinary = malloc(BIG * sizeof *ordinary), *back = malloc(N * sizeof *back);
    for (int piece = 0; piece <= N_PIECES; piece++) {
        int first = piece * PIECE, n = piece < N_PIECES ? PIECE : BIG;
        for (int i = 0; i < n; i++)
            ordinary[i] = first + i;
        any_backend->upload(device, there + first, ordinary, (size_t)n * sizeof *ordinary);
        memset(ordinary, 0xFF, (size_t)n * sizeof *ordinary);
    }
    any_get(device, there, N * sizeof *back, back);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(back[i], i);
    free(ordinary), free(back);
    any_backend->release(device, there);
    any_close(device);
}
END_TEST

START_TEST(test_the_first_failure_is_kept)
{
    struct device *device = any_open(PRECISION_AUTO);
    struct error error;
    float values[4] = {1, 2, 3, 4};
    float *x = any_put(device, values, sizeof values);
    any_backend->gather_rows(device, x, sizeof *x, NULL, ANY_ROWS + 1, x);
    any_backend->gather_rows(device, x, (ANY_COLUMNS + 1) * sizeof *x, NULL, 1, x);
    any_backend->add(device, x, x, 4, x);
    if (any_backend->on_host)
        ck_assert_float_eq(x[3], 4); /* nothing runs after a failure */
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(any_backend->synchronize(device, &error), STATUS_OUT_OF_RANGE);
        ck_assert_str_eq(error.text, "gather_rows of 1101 rows: the device was opened for at most 1100");
        ck_assert_int_eq(any_backend->wait(device, 0, &error), STATUS_OUT_OF_RANGE);
    }
    any_backend->release(device, x);
    any_backend->close(device);
}
END_TEST

/* One stretch: x += y, twice. */
static void play(struct device *device, const struct segment_key *key, float *x, const float *y)
{
    if (!any_backend->segment_begin(device, key))
        return;
    any_backend->add(device, x, y, 3, x);
    any_backend->add(device, x, y, 3, x);
    any_backend->segment_end(device);
}

/* However often a stretch comes and whatever came between, it does its work once each time, with what memory
 * holds then. */
START_TEST(test_segments)
{
    struct device *device = any_open(PRECISION_AUTO);
    float values[3] = {0, 1, 2}, ones[3] = {1, 1, 1}, twos[3] = {2, 2, 2};
    float *x = any_put(device, values, sizeof values), *y = any_put(device, ones, sizeof ones);
    struct segment_key key;
    memset(&key, 0, sizeof key);
    for (int round = 0; round < 100; round++) {
        key.which = round % 3 == 0 ? 1 : round; /* one that comes again and again among many that do not */
        play(device, &key, x, y);
    }
    any_backend->upload(device, y, twos, sizeof twos);
    key.which = 1;
    play(device, &key, x, y);
    any_get(device, x, sizeof values, values);
    for (int i = 0; i < 3; i++)
        ck_assert_float_eq(values[i], i + 200 + 4);
    any_backend->release(device, x), any_backend->release(device, y);
    any_close(device);
}
END_TEST

START_TEST(test_weight_refuses_what_it_cannot_hold)
{
    static const float w[8];
    const struct matrix_view good[] = {{w, DTYPE_F32, 2, 4, 4}, {w, DTYPE_F32, 2, 3, 4}};
    const struct matrix_view wrong = {w, DTYPE_I64, 1, 4, 4};
    static const int32_t uneven[] = {0, 3, 4}, three[] = {0, 1, 2, 4}, falls[] = {0, 3, 1, 2, 4},
                         short_of[] = {0, 1, 3};
    const struct {
        const struct matrix_view *parts;
        int n_parts;
        const int32_t *leaves;
        int n_leaves;
    } bad[] = {{good, 2, NULL, 1},  {&wrong, 1, NULL, 1}, {good, 0, NULL, 1},    {good, 1, NULL, 2},
               {good, 1, three, 3}, {good, 1, falls, 4},  {good, 1, short_of, 2}};
    struct device *device = any_open(PRECISION_AUTO);
    struct weight *weight;
    struct error error;
    for (size_t i = sizeof bad / sizeof bad[0]; i-- > 0;)
        ck_assert_int_eq(any_backend->weight_create(device, WEIGHT_PRODUCT, bad[i].parts, bad[i].n_parts,
                                                    bad[i].leaves, bad[i].n_leaves, &weight, &error),
                         STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, "part 1 of a weight has 3 columns, part 0 has 4");
    ck_assert_int_eq(any_backend->weight_create(device, WEIGHT_PRODUCT, good, 1, uneven, 2, &weight, &error),
                     STATUS_OK);
    any_backend->weight_free(device, weight);
    any_close(device);
}
END_TEST

Suite *any_device_suite(void)
{
    Suite *suite = suite_create("device");
    TCase *tests = tcase_create("device");
    tcase_add_test(tests, test_open_refuses);
    tcase_add_test(tests, test_memory_is_cleared_and_aligned);
    tcase_add_test(tests, test_copies_and_marks);
    tcase_add_test(tests, test_ordinary_memory_is_free_again);
    tcase_add_test(tests, test_the_first_failure_is_kept);
    tcase_add_test(tests, test_segments);
    tcase_add_test(tests, test_weight_refuses_what_it_cannot_hold);
    suite_add_tcase(suite, tests);
    return suite;
}
