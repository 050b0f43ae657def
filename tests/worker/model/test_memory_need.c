/*
 * What a rank plans to allocate is what it allocates, within 2 %: on the backend that MILLRACE_TEST_BACKEND
 * names (default: cpu), in the precisions that it has. And the plan is kept: too little memory is refused
 * before anything is taken, with what would fit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/worker/mpi_main.h"
#include "worker/collective/exchange_buffers.h"
#include "worker/model/model.h"

static char directory[4096];
static const struct backend *backend;

static void find_backend(void)
{
    struct error error;
    const char *name = getenv("MILLRACE_TEST_BACKEND");
    ck_assert_msg(backend_find(name ? name : "cpu", &backend, &error) == STATUS_OK, "%s", error.text);
    snprintf(directory, sizeof directory, "%s/models/books-mini", getenv("MILLRACE_SOURCE"));
}

static size_t on_device, on_host;

static void *count_device(struct device *device, size_t size_bytes)
{
    on_device += size_bytes;
    return backend->allocate(device, size_bytes);
}

static void *count_host(struct device *device, size_t size_bytes)
{
    *(backend->on_host ? &on_device : &on_host) += size_bytes;
    return backend->host_allocate(device, size_bytes);
}

/* The linker sends the CPU's allocations here. */
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size_bytes);
int __real_posix_memalign(void **memory, size_t alignment, size_t size_bytes);
static size_t of_weights;

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size_bytes)
{
    of_weights += size_bytes;
    return __real_posix_memalign(memory, alignment, size_bytes);
}

/* What a weight really takes: of the memory that a GPU says is free, or of the process's own. */
static enum status count_weight(struct device *device, enum weight_use use, const struct matrix_view *parts,
                                int n_parts, const int32_t *leaf_start, int n_leaves, struct weight **weight,
                                struct error *error)
{
    of_weights = 0;
    size_t free_before = backend->memory(device).free_bytes;
    enum status status =
        backend->weight_create(device, use, parts, n_parts, leaf_start, n_leaves, weight, error);
    on_device += backend->on_host ? of_weights : free_before - backend->memory(device).free_bytes;
    return status;
}

static size_t taken(void)
{
    size_t bytes = on_device;
    on_device = 0;
    return bytes;
}

static void near(const char *what, size_t planned, size_t allocated)
{
    double apart = (double)planned / (double)allocated - 1;
    ck_assert_msg(apart > -0.02 && apart < 0.02, "%s: %zu planned, %zu allocated", what, planned, allocated);
}

static struct model_config config;
static struct tensors *tensors;

static void allocate_exchange(const struct memory_request *request, const struct backend *counting,
                              struct device *device, int64_t floats)
{
    struct exchange_buffers buffers;
    if (request->gpu && request->nccl)
        ck_assert(exchange_buffers_for_nccl(&buffers, counting, device, request->n_ranks, floats));
    else
        ck_assert(exchange_buffers_for_mpi(&buffers, counting, device, request->n_ranks, floats));
    exchange_buffers_release(&buffers);
}

/* Everything that model.c makes on a device, in its order. */
static void allocate_all(const struct memory_request *request, struct device *device,
                         struct memory_need *plan)
{
    struct backend counting = *backend;
    struct model_weights weights;
    struct conditioning conditioning;
    struct inputs inputs;
    struct forward forward;
    struct sampler sampler;
    struct shard shard;
    struct error error;
    struct collective alone = {.n_ranks = request->n_ranks};
    counting.allocate = count_device;
    counting.host_allocate = count_host;
    counting.weight_create = count_weight;
    on_host = on_device = 0;
    shard_init(&shard, &config, 0, request->n_ranks);
    ck_assert_msg(model_weights_load(&weights, &counting, device, tensors, &config, &shard, NULL, &error) ==
                      STATUS_OK,
                  "%s", error.text);
    plan->weights = taken();
    ck_assert_int_eq(conditioning_init(&conditioning, &weights,
                                       conditioning_entries(request->limits.max_sequences),
                                       conditioning_at_once(request->limits.max_rows), &error),
                     STATUS_OK);
    plan->conditioning = taken();
    ck_assert_int_eq(
        inputs_init(&inputs, &counting, device, request->limits, model_has_laws(request->config), &error),
        STATUS_OK);
    ck_assert_int_eq(forward_init(&forward, &weights, &conditioning, &alone, &inputs, &error), STATUS_OK);
    plan->activations = taken();
    ck_assert_int_eq(sampler_init(&sampler, &weights, &alone, &inputs, &error), STATUS_OK);
    plan->sampling = taken();
    int64_t exchanged = memory_exchanged_floats(&config, request->n_ranks, request->limits.max_rows);
    allocate_exchange(request, &counting, device, exchanged);
    plan->exchange = taken();
    plan->host = on_host;
    sampler_release(&sampler);
    forward_release(&forward);
    inputs_release(&inputs);
    conditioning_release(&conditioning);
    model_weights_release(&weights);
}

static void check(enum precision precision, int n_ranks, bool nccl)
{
    struct error error;
    struct device *device;
    struct memory_need planned, allocated = {0};
    const struct memory_request request = {.config = &config,
                                           .tensors = tensors,
                                           .n_ranks = n_ranks,
                                           .gpu = !backend->on_host,
                                           .precision = precision,
                                           .n_threads = 2,
                                           .nccl = nccl,
                                           .limits = {.max_sequences = 5, .max_rows = 3000}};
    const struct device_options options = {.n_threads = 2,
                                           .precision = precision,
                                           .max_rows = 3000,
                                           .max_positions = config.max_length,
                                           .max_columns = model_widest_row(&config)};
    ck_assert_msg(backend->open(&device, &options, &error) == STATUS_OK, "%s", error.text);
    ck_assert_int_eq(memory_need(&request, 0, &planned, &error), STATUS_OK);
    allocate_all(&request, device, &allocated);
    near("weights", planned.weights, allocated.weights);
    near("conditioning", planned.conditioning, allocated.conditioning);
    near("activations", planned.activations, allocated.activations);
    near("sampling", planned.sampling, allocated.sampling);
    ck_assert_uint_eq(planned.exchange, allocated.exchange);
    ck_assert_uint_eq(planned.host > 0, !backend->on_host);
    if (!backend->on_host)
        near("pinned", planned.host, allocated.host);
    ck_assert(!planned.estimated); /* this process has the backend */
    backend->close(device);
}

static void open_files(void)
{
    struct error error;
    find_backend();
    ck_assert_int_eq(model_config_read(directory, &config, &error), STATUS_OK);
    ck_assert_int_eq(tensors_open(directory, &tensors, &error), STATUS_OK);
}

static void close_files(void)
{
    tensors_close(tensors);
}

START_TEST(what_is_planned_is_allocated)
{
    for (int n_ranks = 1; n_ranks <= 4; n_ranks *= 2) {
        check(PRECISION_F32, n_ranks, true);
        check(PRECISION_BF16, n_ranks, true);
        if (backend->on_host) {
            check(PRECISION_INT8, n_ranks, true);
            continue;
        }
        check(PRECISION_FP8, n_ranks, true);
        check(PRECISION_BF16, n_ranks, false);
    }
}
END_TEST

/* The memory that a GPU reports: what opening it takes is the planned workspace. */
START_TEST(the_workspace_is_what_opening_takes)
{
    struct error error;
    struct device *device, *small;
    struct device_options options = {
        .n_threads = 1, .precision = PRECISION_F32, .max_rows = 1, .max_positions = 1, .max_columns = 1};
    if (backend->on_host)
        return; /* it has no counter of its own */
    ck_assert_int_eq(backend->open(&small, &options, &error), STATUS_OK);
    size_t before = backend->memory(small).free_bytes;
    options.precision = PRECISION_FP8;
    options.max_rows = 3000;
    options.max_positions = 1024;
    options.max_columns = 4096;
    ck_assert_int_eq(backend->open(&device, &options, &error), STATUS_OK);
    near("workspace", workspace_of_gpu(&options).size_bytes, before - backend->memory(small).free_bytes);
    backend->close(device);
    backend->close(small);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_with_what_would)
{
    struct error error = {0};
    struct memory_need plan;
    struct memory_request request = {.config = &config,
                                     .tensors = tensors,
                                     .n_ranks = 1,
                                     .gpu = !backend->on_host,
                                     .limits = {.max_sequences = 4, .max_rows = 8192}};
    ck_assert_int_eq(memory_need(&request, 0, &plan, &error), STATUS_OK);
    ck_assert_int_eq(memory_check(&request, &plan, plan.total, &error), STATUS_OK);
    size_t less = plan.total - plan.activations / 2;
    ck_assert_int_eq(memory_check(&request, &plan, less, &error), STATUS_RESOURCE_EXHAUSTED);
    const char *advice = strstr(error.text, "--batch-tokens ");
    ck_assert_msg(advice != NULL, "%s", error.text);
    int rows = atoi(advice + strlen("--batch-tokens "));
    ck_assert_int_lt(rows, 8192);
    request.limits.max_rows = rows; /* it does fit, and nothing more does */
    ck_assert_int_eq(memory_need(&request, 0, &plan, &error), STATUS_OK);
    ck_assert_uint_le(plan.total, less);
    request.limits.max_rows = rows + 1;
    ck_assert_int_eq(memory_need(&request, 0, &plan, &error), STATUS_OK);
    ck_assert_uint_gt(plan.total, less);
    ck_assert_int_eq(memory_check(&request, &plan, 1 << 20, &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_msg(strstr(error.text, "more ranks") != NULL, "%s", error.text);
}
END_TEST

START_TEST(a_model_that_does_not_fit_is_not_opened)
{
    struct error error = {0};
    struct model model;
    struct model_options options = {.directory = directory,
                                    .backend = backend->name,
                                    .n_threads = 1,
                                    .collective = ranks,
                                    .memory.bytes = 8 << 20,
                                    .limits = {.max_sequences = 4, .max_rows = 4096}};
    ck_assert_int_eq(model_open(&model, &options, &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_msg(strstr(error.text, "a rank needs") != NULL, "%s", error.text);
    options.memory.bytes = 0;
    if (!backend->on_host)
        return; /* all operations are needed to go on */
    ck_assert_msg(model_open(&model, &options, &error) == STATUS_OK, "%s", error.text);
    ck_assert_uint_gt(model.needed_memory.total, model.weights.size_bytes);
    struct device_memory memory = backend->memory(model.device);
    int crowd =
        (int)(memory.total_bytes / model.needed_memory.total) + 1; /* one rank more than the machine holds */
    model_close(&model);
    ranks->n_local = crowd;
    ck_assert_int_eq(model_open(&model, &options, &error), STATUS_RESOURCE_EXHAUSTED);
    ranks->n_local = crowd - 1;
    ck_assert_msg(model_open(&model, &options, &error) == STATUS_OK, "%s", error.text);
    model_close(&model);
    ranks->n_local = 1;
}
END_TEST

START_TEST(sizes_are_read_as_they_are_written)
{
    static const struct {
        const char *text;
        size_t bytes; /* 0: refused */
    } cases[] = {
        {"1000", 1000}, {"1K", 1024}, {"2MiB", 2 << 20}, {"1.5G", 3u << 29}, {"80GB", (size_t)80 << 30},
        {"", 0},        {"G", 0},     {"-1G", 0},        {"1Q", 0},          {"1GiBs", 0},
        {"nan", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error;
        size_t bytes = 0;
        enum status status = memory_parse_size(cases[i].text, &bytes, &error);
        ck_assert_msg(bytes == cases[i].bytes && (status == STATUS_OK) == (cases[i].bytes > 0), "%s",
                      cases[i].text);
    }
}
END_TEST

START_TEST(a_share_is_a_size_or_a_fraction)
{
    struct error error;
    struct memory_share share;
    ck_assert_int_eq(memory_parse_share("0.45", &share, &error), STATUS_OK);
    ck_assert(share.bytes == 0 && share.fraction == 0.45);
    ck_assert_int_eq(memory_parse_share("1", &share, &error), STATUS_OK);
    ck_assert(share.fraction == 1);
    ck_assert_int_eq(memory_parse_share("40GiB", &share, &error), STATUS_OK);
    ck_assert(share.bytes == (size_t)40 << 30 && share.fraction == 0);
    ck_assert_int_eq(memory_parse_share("0", &share, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(memory_parse_share("-0.5", &share, &error), STATUS_INVALID_ARGUMENT);
}
END_TEST

/* Two replicas that share a GPU each keep to their fraction of it. */
START_TEST(a_fraction_bounds_what_is_taken)
{
    struct error error = {0};
    struct model model;
    const struct model_options options = {.directory = directory,
                                          .backend = backend->name,
                                          .n_threads = 1,
                                          .gpu = -1,
                                          .collective = ranks,
                                          .memory.fraction = 1e-4,
                                          .limits = {.max_sequences = 4, .max_rows = 4096}};
    ck_assert_int_eq(model_open(&model, &options, &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_msg(strstr(error.text, "a rank needs") != NULL, "%s", error.text);
}
END_TEST

Suite *mpi_suite(void)
{
    Suite *suite = suite_create("memory plan");
    TCase *cases = tcase_create("plan");
    tcase_add_checked_fixture(cases, open_files, close_files);
    tcase_add_test(cases, what_is_planned_is_allocated);
    tcase_add_test(cases, the_workspace_is_what_opening_takes);
    tcase_add_test(cases, what_does_not_fit_is_refused_with_what_would);
    tcase_add_test(cases, a_model_that_does_not_fit_is_not_opened);
    tcase_add_test(cases, sizes_are_read_as_they_are_written);
    tcase_add_test(cases, a_share_is_a_size_or_a_fraction);
    tcase_add_test(cases, a_fraction_bounds_what_is_taken);
    suite_add_tcase(suite, cases);
    return suite;
}
