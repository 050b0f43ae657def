#include <stdio.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/temporary.h"
#include "kernels/cpu/pool.h"
#include "tests/kernels/support.h"

/* Opening, the pool, and that operations allocate nothing: the linker sends every allocation of this
 * program's own code through the counters below. */
static atomic_int n_allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size)
{
    atomic_fetch_add(&n_allocations, 1);
    return __real_malloc(size);
}
void *__wrap_calloc(size_t n, size_t size)
{
    atomic_fetch_add(&n_allocations, 1);
    return __real_calloc(n, size);
}
void *__wrap_realloc(void *memory, size_t size)
{
    atomic_fetch_add(&n_allocations, 1);
    return __real_realloc(memory, size);
}
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
    atomic_fetch_add(&n_allocations, 1);
    return __real_posix_memalign(memory, alignment, size);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&n_allocations, 1);
    return __real_aligned_alloc(alignment, size);
}

START_TEST(test_backends_by_name)
{
    const struct backend *backend = NULL;
    struct error error;
    ck_assert_int_eq(backend_find("cpu", &backend, &error), STATUS_OK);
    ck_assert_ptr_eq(backend, &backend_cpu);
    backend = NULL;
    char directory[TEMPORARY_ROOM], module[TEMPORARY_ROOM + 16], said[TEMPORARY_ROOM + 128];
    ck_assert_int_eq(temporary_directory(directory, "backends", &error), STATUS_OK);
    snprintf(module, sizeof module, "%s/module.so", directory);
    snprintf(
        said, sizeof said,
        "MILLRACE_CUDA_MODULE names %s, which is not there; unset it or name the library of a build with "
        "CUDA",
        module);
    setenv("MILLRACE_CUDA_MODULE", module, 1);
    ck_assert_int_eq(backend_find("auto", &backend, &error), STATUS_OK);
    ck_assert_ptr_eq(backend, &backend_cpu);
    backend = NULL;
    ck_assert_int_eq(backend_find("cuda", &backend, &error), STATUS_UNAVAILABLE);
    ck_assert_str_eq(error.text, said);
    ck_assert_int_eq(rmdir(directory), 0);
    setenv("MILLRACE_CUDA_MODULE", "/proc/self/exe", 1);
    ck_assert_int_eq(backend_find("cuda", &backend, NULL), STATUS_UNAVAILABLE);
    unsetenv("MILLRACE_CUDA_MODULE");
    ck_assert_int_eq(backend_find("tpu", &backend, &error), STATUS_NOT_FOUND);
    ck_assert_ptr_null(backend);
}
END_TEST

START_TEST(test_open_refuses)
{
    struct device_options options = {.n_threads = 0, .max_rows = 1, .max_positions = 1, .max_columns = 1};
    struct device *device = NULL;
    struct error error;
    ck_assert_int_eq(backend_cpu.open(&device, &options, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, "device option n_threads is 0; it must be 1 to 4096");
    options.n_threads = 1;
    setenv("MILLRACE_CPU", "z80", 1);
    ck_assert_int_eq(backend_cpu.open(&device, &options, &error), STATUS_INVALID_ARGUMENT);
    unsetenv("MILLRACE_CPU");
    ck_assert_str_eq(error.text,
                     "MILLRACE_CPU=z80 is unknown; use amx, avx512, avx2 or generic, or unset it");
    ck_assert_int_eq(backend_cpu.open(&device, &options, &error), STATUS_OK);
    backend_cpu.close(device);
    backend_cpu.close(NULL);
}
END_TEST

/* The operations that take scratch, at the sizes that the device was opened for. */
START_TEST(test_operations_do_not_allocate)
{
    struct device *device = open_device(machine_isas()[0], 2);
    float *w = random_floats(64 * TEST_COLUMNS, 60, 1),
          *x = random_floats((size_t)TEST_ROWS * TEST_COLUMNS, 61, 1);
    float *y = cleared(TEST_ROWS * 64, sizeof *y), *one = cleared(TEST_ROWS, sizeof *one);
    int32_t *none = cleared(TEST_ROWS, sizeof *none), starts[] = {0, TEST_POSITIONS}, columns[] = {0, 64};
    struct exp_sum *sums = cleared(TEST_ROWS, sizeof *sums);
    struct weight *weight = weight_of(device, w, 64, TEST_COLUMNS, NULL, 1);
    struct matmul product = {
        .x = x, .ld_x = TEST_COLUMNS, .rows = TEST_ROWS, .weight = weight, .y = y, .ld_y = 64};
    struct attention attention = {x, x, x, 64, 64, 64, 1, 64, x, 1, 1, 1, starts, starts, none, y};
    struct head_scan scan = {x, TEST_ROWS, weight, w, 0, 1, columns, one, none, sums, sums, y};
    int before = atomic_load(&n_allocations);
    backend_cpu.matmul(device, &product);
    backend_cpu.attention(device, &attention);
    backend_cpu.head_scan(device, &scan);
    int after = atomic_load(&n_allocations);
    ck_assert_int_gt(before, 0);
    ck_assert_int_eq(after, before);
    backend_cpu.weight_free(device, weight);
    finish_device(device);
    free(w), free(x), free(y), free(one), free(none), free(sums);
}
END_TEST

struct tally {
    atomic_int calls[1000];
    int n_threads;
    atomic_int bad;
};

static void count_part(void *context, int part, int thread)
{
    struct tally *tally = context;
    atomic_fetch_add(&tally->calls[part], 1);
    if (thread < 0 || thread >= tally->n_threads)
        atomic_fetch_add(&tally->bad, 1);
}

START_TEST(test_pool_runs_every_part_once)
{
    struct pool *pool = NULL;
    static struct tally tally;
    memset(&tally, 0, sizeof tally);
    tally.n_threads = _i;
    ck_assert_int_eq(pool_create(_i, &pool, NULL), STATUS_OK);
    static const int counts[] = {0, 1, 2, 3, 1000, 7};
    enum { ROUNDS = 300 };
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            pool_run(pool, count_part, &tally, counts[i]);
    pool_free(pool);
    for (int part = 0; part < 1000; part++) {
        int expected = 0;
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            expected += part < counts[i] ? ROUNDS : 0;
        ck_assert_int_eq(tally.calls[part], expected);
    }
    ck_assert_int_eq(tally.bad, 0);
}
END_TEST

static void count_call(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

/* One attention or product over a long text takes minutes where processors are few: it must show that it
 * moves. */
START_TEST(test_long_operations_show_progress)
{
    enum { LONG = 4096, SIZE = 16, OUT = 64 };
    static atomic_int n_done;
    struct device *device;
    const struct device_options options = {.n_threads = _i,
                                           .max_rows = LONG,
                                           .max_positions = LONG,
                                           .max_columns = SIZE,
                                           .progressed = count_call,
                                           .progress_context = &n_done};
    ck_assert_int_eq(backend_cpu.open(&device, &options, NULL), STATUS_OK);
    float *x = calloc(LONG * SIZE, sizeof *x), *y = calloc(LONG * OUT, sizeof *y),
          *w = calloc(OUT * SIZE, sizeof *w);
    int32_t starts[] = {0, LONG}, *positions = calloc(LONG, sizeof *positions);
    struct weight *weight = weight_of(device, w, OUT, SIZE, NULL, 1);
    const struct attention attention = {x, x, x,    SIZE, SIZE,   SIZE,   1,         SIZE,
                                        x, 1, LONG, LONG, starts, starts, positions, y};
    const struct matmul product = {.x = x, .ld_x = SIZE, .rows = LONG, .weight = weight, .y = y, .ld_y = OUT};
    atomic_store(&n_done, 0);
    backend_cpu.attention(device, &attention);
    ck_assert_int_ge(atomic_load(&n_done), LONG / 128); /* a block of queries is at most 128 */
    atomic_store(&n_done, 0);
    backend_cpu.matmul(device, &product);
    ck_assert_int_ge(atomic_load(&n_done), LONG / 1024);
    backend_cpu.weight_free(device, weight);
    backend_cpu.close(device);
    free(x), free(y), free(w), free(positions);
}
END_TEST

Suite *device_suite(void)
{
    Suite *suite = suite_create("device");
    TCase *tests = tcase_create("device");
    tcase_add_test(tests, test_backends_by_name);
    tcase_add_test(tests, test_open_refuses);
    tcase_add_test(tests, test_operations_do_not_allocate);
    tcase_add_loop_test(tests, test_long_operations_show_progress, 1, 3);
    tcase_add_loop_test(tests, test_pool_runs_every_part_once, 1, 5);
    suite_add_tcase(suite, tests);
    return suite;
}
