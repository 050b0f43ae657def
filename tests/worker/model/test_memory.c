/*
 * The step path allocates nothing after start, and what sampling holds does not grow with length ×
 * vocabulary. malloc and its kin are replaced in this program by ones that count. One rank: what MPI does
 * within its calls is its own.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/worker/mpi_main.h"
#include "worker/model/model.h"
#include "worker/engine/batch.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static atomic_long n_allocations;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    n_allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    n_allocations++;
    return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
    n_allocations++;
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    n_allocations++;
    return __libc_memalign(alignment, size);
}

static void open_model(struct model *model, int max_rows)
{
    char directory[4096];
    struct error error;
    snprintf(directory, sizeof directory, "%s/models/books-mini", getenv("MILLRACE_SOURCE"));
    const struct model_options options = {.directory = directory,
                                          .backend = "cpu",
                                          .n_threads = 2,
                                          .collective = ranks,
                                          .limits = {.max_sequences = 4, .max_rows = max_rows}};
    ck_assert_msg(model_open(model, &options, &error) == STATUS_OK, "%s", error.text);
}

START_TEST(steps_allocate_nothing)
{
    struct model model;
    struct plan plan;
    struct batch *batch;
    struct error error;
    struct sequence_report reports[4];
    uint32_t ids[300] = {0};
    uint8_t editable[300];
    memset(editable, 1, sizeof editable);
    open_model(&model, 1024);
    const struct plan_limits limits = model.forward.limits;
    ck_assert_int_eq(plan_init(&plan, limits, &error), STATUS_OK);
    ck_assert_int_eq(batch_create(&model.weights.config, limits, &batch, &error), STATUS_OK);
    bool all_well = true; /* ck_assert allocates: none until we have counted */
    long before = n_allocations;
    for (uint32_t i = 0; i < 3; i++) { /* different lengths and steps: new (t, dt) are computed on the way */
        const struct sequence_input input = {.number = i,
                                             .ids = ids,
                                             .editable = editable,
                                             .length = 100 * (i + 1),
                                             .n_steps = 3 + i,
                                             .seed = i,
                                             .temperature = 1};
        all_well = all_well && batch_add(batch, &input, &error) == STATUS_OK;
    }
    while (batch_size(batch) > 0) {
        batch_plan(batch, &plan);
        all_well = all_well && model_step(&model, &plan, &error) == STATUS_OK;
        batch_apply(batch, &plan, model.sampler.sampled, reports);
    }
    long during = n_allocations - before;
    ck_assert_msg(all_well, "%s", error.text);
    batch_free(batch);
    plan_release(&plan);
    model_close(&model);
    ck_assert_msg(during == 0, "%ld allocations in 5 steps", during);
}
END_TEST

/* What sampler_init asks of its backend, for a batch of `max_rows` and a vocabulary of `n_ids`. */
static size_t asked_bytes;
static void *counting_allocate(struct device *device, size_t size_bytes)
{
    (void)device;
    asked_bytes += size_bytes;
    return __libc_calloc(1, size_bytes);
}
static void counting_release(struct device *device, void *memory)
{
    (void)device;
    free(memory);
}

static enum dtype floats(const struct device *device)
{
    (void)device;
    return DTYPE_F32;
}

static size_t sampling_bytes(int max_rows, int n_ids)
{
    struct backend counting = backend_cpu;
    counting.allocate = counting.host_allocate = counting_allocate;
    counting.release = counting.host_release = counting_release;
    counting.activation_type = floats;
    const struct model_config config = {.n_ids = n_ids, .n_heads = 4, .hidden = 64, .head_size = 16};
    struct model_weights weights = {.backend = &counting, .config = config};
    struct sampler sampler;
    struct inputs inputs = {.limits = {.max_sequences = 1, .max_rows = max_rows}};
    struct error error;
    shard_init(&weights.shard, &config, ranks->rank, ranks->n_ranks);
    asked_bytes = 0;
    ck_assert_int_eq(sampler_init(&sampler, &weights, ranks, &inputs, &error), STATUS_OK);
    sampler_release(&sampler);
    return asked_bytes;
}

/* What the vocabulary costs is the same for any batch; what a row costs is the same for any vocabulary, and
 * little. */
START_TEST(sampling_memory_does_not_grow_with_length_times_vocabulary)
{
    enum { FEW = 1024, MANY = 64 * 1024, ROW_BYTES = 128 };
    size_t small = sampling_bytes(FEW, 50257), large = sampling_bytes(MANY, 50257);
    printf("  sampling holds %.2f MiB for 1,024 rows and %.2f MiB for 65,536; logits would be %.0f and %.0f "
           "MiB\n",
           (double)small / 1048576, (double)large / 1048576, 1024 * 50257 / 262144.0,
           65536 * 50257.0 / 262144.0);
    ck_assert_uint_eq(small - sampling_bytes(FEW, 389), large - sampling_bytes(MANY, 389));
    ck_assert_uint_le(large - small, (MANY - FEW) * ROW_BYTES);
    ck_assert_uint_lt(small, 4 << 20);
}
END_TEST

Suite *mpi_suite(void)
{
    Suite *suite = suite_create("memory");
    TCase *cases = tcase_create("memory");
    tcase_add_test(cases, steps_allocate_nothing);
    tcase_add_test(cases, sampling_memory_does_not_grow_with_length_times_vocabulary);
    suite_add_tcase(suite, cases);
    return suite;
}
#else
Suite *mpi_suite(void) /* the sanitizers bring their own malloc */
{
    fprintf(stderr, "skipped: the sanitizers bring their own malloc\n");
    exit(77);
}
#endif
