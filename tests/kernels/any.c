#include "tests/kernels/any.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/support.h"

static int cpu_variants(const struct any_variant **variants)
{
    enum { ISAS_MAX = 6, THREADS_MAX = 3, PRECISIONS = 3 };
    static const enum precision precisions[PRECISIONS] = {PRECISION_F32, PRECISION_BF16, PRECISION_INT8};
    static struct any_variant all[ISAS_MAX * THREADS_MAX * PRECISIONS];
    int n = 0;
    for (int p = 0; p < PRECISIONS; p++)
        for (const char *const *isa = machine_isas(); *isa != NULL; isa++)
            for (int n_threads = 1; n_threads <= THREADS_MAX; n_threads += 2, n++)
                all[n] = (struct any_variant){*isa, precisions[p], n_threads,
                                              .same_bits = n > 0 && all[n - 1].precision == precisions[p]};
    *variants = all;
    return n;
}

int any_formats(const struct any_variant **variants)
{
    static const struct any_variant gpu[] = {{.name = "f32", .precision = PRECISION_F32},
                                             {.name = "bf16", .precision = PRECISION_BF16},
                                             {.name = "fp8", .precision = PRECISION_FP8}};
    *variants = gpu;
    return any_backend->on_host ? cpu_variants(variants) / 3 * 2 : 2;
}

int any_variants(const struct any_variant **variants)
{
    int n = any_formats(variants);
    return any_backend->on_host ? n / 2 * 3 : n + 1;
}

/* What was downloaded from the first of several variants with the same bits, and how far this one is. */
static struct {
    const struct any_variant *variant; /* NULL: this device is compared with none */
    char *bytes;
    size_t size_bytes, at;
} seen;

static void check_seen(const struct device *device, const void *bytes, size_t size_bytes)
{
    if (seen.variant == NULL)
        return;
    if (!seen.variant->same_bits) {
        seen.size_bytes += size_bytes;
        seen.bytes = realloc(seen.bytes, seen.size_bytes + 1);
        ck_assert_ptr_nonnull(seen.bytes);
        memcpy(seen.bytes + seen.at, bytes, size_bytes);
    }
    ck_assert_uint_le(seen.at + size_bytes, seen.size_bytes);
    check_same_bits(bytes, seen.bytes + seen.at, size_bytes, any_backend->describe(device));
    seen.at += size_bytes;
}

static struct device *open_with(enum precision precision, int n_threads)
{
    const struct device_options options = {.n_threads = n_threads,
                                           .precision = precision,
                                           .max_rows = ANY_ROWS,
                                           .max_positions = ANY_POSITIONS,
                                           .max_columns = ANY_COLUMNS};
    struct device *device = NULL;
    struct error error = {0};
    ck_assert_msg(any_backend->open(&device, &options, &error) == STATUS_OK, "%s", error.text);
    return device;
}

struct device *any_open_variant(const struct any_variant *variant)
{
    seen.variant = variant;
    seen.size_bytes = variant->same_bits ? seen.size_bytes : 0;
    seen.at = 0;
    if (any_backend->on_host)
        setenv("MILLRACE_CPU", variant->name, 1);
    struct device *device = open_with(variant->precision, variant->n_threads);
    unsetenv("MILLRACE_CPU");
    return device;
}

struct device *any_open(enum precision precision)
{
    seen.variant = NULL;
    return open_with(precision, 2);
}

void any_close(struct device *device)
{
    struct error error = {0};
    ck_assert_msg(any_backend->synchronize(device, &error) == STATUS_OK, "%s", error.text);
    any_backend->close(device);
}

void *any_put(struct device *device, const void *from, size_t size_bytes)
{
    void *memory = any_backend->allocate(device, size_bytes > 0 ? size_bytes : 1);
    ck_assert_ptr_nonnull(memory);
    any_backend->upload(device, memory, from, size_bytes);
    return memory;
}

static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value))
        return 0x7FFF;
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

void *any_put_floats(struct device *device, const float *from, size_t n, enum dtype type)
{
    if (type == DTYPE_F32)
        return any_put(device, from, n * sizeof *from);
    uint16_t *converted = cleared(n, sizeof *converted);
    for (size_t i = 0; i < n; i++)
        converted[i] = to_bf16(from[i]);
    void *memory = any_put(device, converted, n * sizeof *converted);
    free(converted);
    return memory;
}

void any_get(struct device *device, const void *from, size_t size_bytes, void *to)
{
    struct error error = {0};
    any_backend->download(device, to, from, size_bytes);
    ck_assert_msg(any_backend->synchronize(device, &error) == STATUS_OK, "%s", error.text);
    check_seen(device, to, size_bytes);
}

void any_get_floats(struct device *device, const void *from, size_t n, enum dtype type, float *to)
{
    if (type == DTYPE_F32) {
        any_get(device, from, n * sizeof *to, to);
        return;
    }
    uint16_t *words = cleared(n, sizeof *words);
    any_get(device, from, n * sizeof *words, words);
    dtype_to_float(DTYPE_BF16, words, n, to);
    free(words);
}

void any_round(float *values, size_t n, enum dtype type)
{
    for (size_t i = 0; type == DTYPE_BF16 && i < n; i++) {
        uint16_t word = to_bf16(values[i]);
        dtype_to_float(DTYPE_BF16, &word, 1, &values[i]);
    }
}

/* The nearest multiple of the step that e4m3 has at this size: 3 bits of fraction, exponents from -6 to 8. */
static float nearest_e4m3(float value)
{
    int exponent;
    float size = fminf(fabsf(value), 448);
    frexpf(size, &exponent); /* size = [0.5, 1) * 2^exponent */
    float step = ldexpf(1, (exponent - 1 < -6 ? -6 : exponent - 1) - 3);
    return copysignf(rintf(size / step) * step, value);
}

void any_round_e4m3(float *values, int rows, int columns)
{
    for (int row = 0; row < rows; row++) {
        float *v = values + (size_t)row * columns, amax = 0;
        for (int i = 0; i < columns; i++)
            amax = fmaxf(amax, fabsf(v[i]));
        float scale = amax > 0 ? amax / 448 : 1;
        for (int i = 0; i < columns; i++)
            v[i] = nearest_e4m3(v[i] / scale) * scale;
    }
}

void any_round_int8(float *values, int rows, int columns)
{
    for (int row = 0; row < rows; row++) {
        float *v = values + (size_t)row * columns, amax = 0;
        for (int i = 0; i < columns; i++)
            amax = fmaxf(amax, fabsf(v[i]));
        float scale = amax / 127, factor = 1 / scale;
        for (int i = 0; amax > 0 && i < columns; i++)
            v[i] = rintf(v[i] * factor) * scale;
    }
}

double any_rounding(enum dtype type)
{
    return type == DTYPE_BF16 ? 0x1p-8 : 0;
}
