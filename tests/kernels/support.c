#include "tests/kernels/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const *machine_isas(void)
{
#if defined(__x86_64__)
    static const char *const all[] = {"amx", "avx512", "avx2", "generic", "tiles", NULL};
    struct error ignored;
    const char *const *first = all;
    for (struct device *device = NULL; device == NULL; first++) {
        const struct device_options options = {
            .n_threads = 1, .max_rows = 1, .max_positions = 1, .max_columns = 1};
        setenv("MILLRACE_CPU", *first, 1);
        if (backend_cpu.open(&device, &options, &ignored) == STATUS_OK) {
            backend_cpu.close(device);
            break;
        }
    }
    unsetenv("MILLRACE_CPU");
    return first;
#else
    static const char *const all[] = {"generic", "tiles", NULL};
    return all;
#endif
}

struct device *open_device(const char *isa, int n_threads)
{
    return open_device_for(isa, PRECISION_F32, n_threads);
}

struct device *open_device_for(const char *isa, enum precision precision, int n_threads)
{
    const struct device_options options = {.n_threads = n_threads,
                                           .precision = precision,
                                           .max_rows = TEST_ROWS,
                                           .max_positions = TEST_POSITIONS,
                                           .max_columns = TEST_COLUMNS};
    struct device *device = NULL;
    struct error error = {0};
    setenv("MILLRACE_CPU", isa, 1);
    ck_assert_msg(backend_cpu.open(&device, &options, &error) == STATUS_OK, "%s", error.text);
    unsetenv("MILLRACE_CPU");
    ck_assert_ptr_nonnull(strstr(backend_cpu.describe(device), isa));
    return device;
}

void finish_device(struct device *device)
{
    struct error error = {0};
    ck_assert_msg(backend_cpu.synchronize(device, &error) == STATUS_OK, "%s", error.text);
    backend_cpu.close(device);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    uint32_t x = *state;
    x ^= x >> 16;
    x *= 0x7feb352du;
    return x ^ x >> 15;
}

void *cleared(size_t n, size_t size)
{
    void *memory = calloc(n > 0 ? n : 1, size);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

float *random_floats(size_t n, uint32_t seed, float scale)
{
    float *values = cleared(n, sizeof *values);
    uint32_t state = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++)
        values[i] = scale * ((float)(next_random(&state) >> 8) * 0x1p-23f - 1);
    return values;
}

uint16_t *words_of(const float *values, size_t n)
{
    uint16_t *words = cleared(n, sizeof *words);
    dtype_to_bf16(DTYPE_F32, values, n, words);
    return words;
}

int32_t *random_ids(size_t n, uint32_t seed, int32_t below)
{
    int32_t *values = cleared(n, sizeof *values);
    uint32_t state = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++)
        values[i] = (int32_t)(next_random(&state) % (uint32_t)below);
    return values;
}

struct weight *weight_slice(struct device *device, const float *w, int n_in, int first_row, int n_rows,
                            int first_column, int n_columns, const int32_t *leaves, int n_leaves)
{
    const struct matrix_view view = {.data = w + (int64_t)first_row * n_in + first_column,
                                     .dtype = DTYPE_F32,
                                     .rows = n_rows,
                                     .columns = n_columns,
                                     .row_stride = n_in,
                                     .first_column = first_column};
    struct weight *weight = NULL;
    struct error error = {0};
    enum status status =
        backend_cpu.weight_create(device, WEIGHT_PRODUCT, &view, 1, leaves, n_leaves, &weight, &error);
    ck_assert_msg(status == STATUS_OK, "%s", error.text);
    return weight;
}

struct weight *weight_of(struct device *device, const float *w, int n_out, int n_in, const int32_t *leaves,
                         int n_leaves)
{
    return weight_slice(device, w, n_in, 0, n_out, 0, n_in, leaves, n_leaves);
}

void cut_leaves(int n_in, int n_leaves, int32_t *start)
{
    for (int i = 0; i <= n_leaves; i++)
        start[i] = (int32_t)((int64_t)n_in * i * (i + n_leaves) / (2 * (int64_t)n_leaves * n_leaves));
}

void check_close(const float *y, const double *expected, size_t n, double tolerance, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs(y[i] - expected[i]) <= tolerance * (1 + fabs(expected[i]))))
            ck_abort_msg("%s: element %zu is %.9g, expected %.9g", what, i, y[i], expected[i]);
}

void check_same_bits(const void *a, const void *b, size_t size_bytes, const char *what)
{
    const unsigned char *left = a, *right = b;
    for (size_t i = 0; i < size_bytes; i++)
        if (left[i] != right[i])
            ck_abort_msg("%s: byte %zu differs", what, i);
}
