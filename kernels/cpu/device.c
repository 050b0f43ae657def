#include "kernels/cpu/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "common/log.h"
#include "common/machine/cpus.h"
#include "kernels/cpu/attention_scratch.h"
#include "kernels/precision.h"

/*
 * Opening and closing: the copy of the arithmetic for this machine, the threads, and all scratch that
 * operations will ever use.
 */

#if defined(__x86_64__)
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
}

/* Does the processor have tiles and bfloat16, and the kernel room for them? Linux gives a process the tiles'
 * state only when it asks (Documentation/arch/x86/xstate.rst); asked before any thread starts, all have it.
 */
static bool has_tiles(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, LEAF = 7, BF16 = 1 << 22, TILES = 1 << 24 };
    unsigned a, b, c, d;
    if (!has_avx512() || !__get_cpuid_count(LEAF, 0, &a, &b, &c, &d) || !(d & BF16) || !(d & TILES))
        return false;
    if (syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0)
        return true;
    log_info("the processor has tiles (AMX), but the kernel does not grant them: %m; computing with AVX-512");
    return false;
}
#endif

static bool machine_runs(const struct operations *operations)
{
#if defined(__x86_64__)
    if (operations == &operations_amx)
        return has_tiles();
    if (operations == &operations_avx512)
        return has_avx512();
    if (operations == &operations_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return true; /* plain C */
}

/* The best copy, or the one that MILLRACE_CPU names. */
static enum status choose_operations(const struct operations **chosen, struct error *error)
{
    static const struct operations *const all[] = {
#if defined(__x86_64__)
        &operations_amx,
        &operations_avx512,
        &operations_avx2,
#endif
        &operations_generic,
        &operations_tiles,
    };
    const char *wanted = getenv("MILLRACE_CPU");
    bool any = wanted == NULL || wanted[0] == '\0';
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (!any && strcmp(wanted, all[i]->name) != 0)
            continue;
        if (machine_runs(all[i])) {
            *chosen = all[i];
            return STATUS_OK;
        }
        if (!any)
            return error_set(error, STATUS_UNAVAILABLE,
                             "MILLRACE_CPU=%s: this machine does not have that instruction set; unset it",
                             wanted);
    }
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "MILLRACE_CPU=%.32s is unknown; use amx, avx512, avx2 or generic, or unset it", wanted);
}

static enum status check_options(const struct device_options *options, struct error *error)
{
    const struct {
        const char *name;
        int value, most;
    } fields[] = {
        {"n_threads", options->n_threads, 4096},
        {"max_rows", options->max_rows, 1 << 24},
        {"max_positions", options->max_positions, 1 << 20},
        {"max_columns", options->max_columns, 1 << 20},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].value < 1 || fields[i].value > fields[i].most)
            return error_set(error, STATUS_INVALID_ARGUMENT, "device option %s is %d; it must be 1 to %d",
                             fields[i].name, fields[i].value, fields[i].most);
    if (options->precision == PRECISION_FP8)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "--precision fp8 is a GPU's; a CPU has f32, bf16 and int8");
    return STATUS_OK;
}

float *device_floats(size_t n)
{
    enum { HUGE_PAGE = 2 << 20 };
    size_t bytes = (n * sizeof(float) + 63) / 64 * 64, alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    void *memory = NULL;
    if (posix_memalign(&memory, alignment, bytes + 64) != 0)
        return NULL;
    if (alignment == HUGE_PAGE) /* fewer address translations; only a wish */
        (void)madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

/* Inputs by which the leaves of a weight may be filled up without the block of rows becoming smaller. */
enum { FILL = MATMUL_LEAVES * 63, FEW_ROWS = 64 };

/* Below float32 a small device has room for some rows more, since leaves may be filled up further yet. */
static size_t packed_floats(const struct device_options *options)
{
    int rows = least(options->max_rows, ROW_BLOCK) + TILE_ROWS_MAX;
    if (options->precision == PRECISION_F32)
        return (size_t)rows * (size_t)options->max_columns;
    return (size_t)(rows < FEW_ROWS ? FEW_ROWS : rows) * ((size_t)options->max_columns + FILL);
}

static size_t row_scales(const struct device_options *options)
{
    return options->precision == PRECISION_INT8 ? (size_t)ROW_BLOCK * LEAVES_MOST : 0;
}

/* What a thread unpacks at a time: half of the second-level cache, or one tile of the head if that is more.
 */
static size_t unpacked_floats(const struct device_options *options, size_t cache_bytes)
{
    size_t half_cache = cache_bytes / 2 / sizeof(float);
    size_t tile = ((size_t)options->max_columns + FILL) * VOCABULARY_TILE;
    if (options->precision == PRECISION_F32)
        return 0;
    return half_cache > tile ? half_cache : tile;
}

static size_t second_level_cache_bytes(void)
{
    size_t bytes = cpus_here()->cache_bytes;
    return bytes > 0 ? bytes : 512 * 1024;
}

static struct device_options without_auto(const struct device_options *options)
{
    struct device_options complete = *options;
    if (complete.precision == PRECISION_AUTO)
        complete.precision = PRECISION_F32;
    return complete;
}

size_t cpu_scratch_bytes(const struct device_options *options)
{
    struct attention_scratch unused;
    const struct device_options complete = without_auto(options);
    size_t thread = attention_scratch_cut(NULL, complete.max_positions, &unused) +
                    unpacked_floats(&complete, second_level_cache_bytes());
    return (packed_floats(&complete) + row_scales(&complete) + (size_t)complete.n_threads * thread) *
           sizeof(float);
}

static enum status reserve_scratch(struct device *device, const struct device_options *options,
                                   struct error *error)
{
    struct attention_scratch unused;
    size_t n_threads = (size_t)device->n_threads;
    device->packed_floats = packed_floats(options);
    device->thread_scratch_floats = attention_scratch_cut(NULL, device->max_positions, &unused);
    device->unpacked_floats = unpacked_floats(options, device->cache_bytes);
    device->packed_rows = device_floats(device->packed_floats);
    device->thread_scratch = device_floats(n_threads * device->thread_scratch_floats);
    if (device->unpacked_floats > 0)
        device->unpacked = device_floats(n_threads * device->unpacked_floats);
    if (row_scales(options) > 0)
        device->row_scales = device_floats(row_scales(options));
    if (device->packed_rows == NULL || device->thread_scratch == NULL ||
        (device->unpacked_floats > 0 && device->unpacked == NULL) ||
        (row_scales(options) > 0 && device->row_scales == NULL))
        return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                         "no memory for scratch of %zu bytes (%d rows, %d columns, %d positions, %d threads)",
                         cpu_scratch_bytes(options), device->max_rows, device->max_columns,
                         device->max_positions, device->n_threads);
    return STATUS_OK;
}

static enum status set_up(struct device *device, const struct device_options *options, struct error *error)
{
    device->precision = options->precision;
    device->n_threads = options->n_threads;
    device->max_rows = options->max_rows;
    device->max_positions = options->max_positions;
    device->max_columns = options->max_columns;
    device->progressed = options->progressed;
    device->progress_context = options->progress_context;
    device->cache_bytes = second_level_cache_bytes();
    enum status status = choose_operations(&device->operations, error);
    if (status == STATUS_OK)
        status = reserve_scratch(device, options, error);
    if (status == STATUS_OK)
        status = pool_create(device->n_threads, &device->pool, error);
    if (status == STATUS_OK)
        pool_watch(device->pool, options->progressed, options->progress_context);
    if (status == STATUS_OK)
        snprintf(device->description, sizeof device->description, "cpu %s, %s, %d thread%s",
                 device->operations->name, precision_text(device->precision), device->n_threads,
                 device->n_threads == 1 ? "" : "s");
    return status;
}

enum status cpu_open(struct device **device, const struct device_options *options, struct error *error)
{
    enum status status = check_options(options, error);
    if (status != STATUS_OK)
        return status;
    struct device *opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a device");
    const struct device_options complete = without_auto(options);
    status = set_up(opened, &complete, error);
    if (status != STATUS_OK) {
        cpu_close(opened);
        return status;
    }
    *device = opened;
    return STATUS_OK;
}

void cpu_close(struct device *device)
{
    if (device == NULL)
        return;
    pool_free(device->pool);
    free(device->packed_rows);
    free(device->thread_scratch);
    free(device->unpacked);
    free(device->row_scales);
    free(device);
}
