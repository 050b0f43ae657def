/*
 * Sums and gathers over ranks in the memory of a device, of the backend that MILLRACE_TEST_BACKEND names
 * (default: cpu), through the host (mpi) and on the device (nccl): the same bits, those of the balanced tree,
 * in place and in the stream's order.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/worker/mpi_main.h"

enum { MOST = 100003 };

static const struct backend *backend;
static struct device *device;
static float *on_device, *gathered;

static void open_device(void)
{
    struct error error;
    const char *name = getenv("MILLRACE_TEST_BACKEND");
    ck_assert_msg(backend_find(name ? name : "cpu", &backend, &error) == STATUS_OK, "%s", error.text);
    const struct device_options options = {.n_threads = 1,
                                           .index = -1 - ranks->local_rank,
                                           .precision = PRECISION_F32,
                                           .max_rows = 16,
                                           .max_positions = 16,
                                           .max_columns = 16};
    ck_assert_msg(backend->open(&device, &options, &error) == STATUS_OK, "%s", error.text);
    on_device = backend->allocate(device, MOST * sizeof *on_device);
    gathered = backend->allocate(device, MOST * sizeof *gathered);
}

static void close_device(void)
{
    backend->release(device, on_device);
    backend->release(device, gathered);
    backend->close(device);
}

/* Numbers whose sum depends on the order of adding. */
static float term(int rank, int64_t i)
{
    static const float scales[] = {1e8f, -1e8f, 1.0f, 3e-5f, 7e3f, -0.25f, 1e-3f, 2e7f};
    return scales[(rank + (int)(i % 5)) % 8] * (float)(1 + i % 7);
}

static float tree_sum(int n, int64_t i)
{
    float parts[64];
    for (int rank = 0; rank < n; rank++)
        parts[rank] = term(rank, i);
    for (int distance = 1; distance < n; distance *= 2)
        for (int at = 0; at + distance < n; at += 2 * distance)
            parts[at] += parts[at + distance];
    return parts[0];
}

static int wrong_sums(struct collective *collective)
{
    static const int64_t sizes[] = {0, 1, 3, 16, 1000, MOST};
    static float x[MOST];
    int wrong = 0;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t size_bytes = (size_t)sizes[s] * sizeof *x;
        for (int64_t i = 0; i < sizes[s]; i++)
            x[i] = term(ranks->rank, i);
        backend->upload(device, on_device, x, size_bytes);
        collective->table->all_reduce(collective, on_device, sizes[s]);
        backend->add(device, on_device, on_device, sizes[s], on_device); /* reads what the sum has left */
        backend->download(device, x, on_device, size_bytes);
        struct error error;
        wrong += backend->synchronize(device, &error) != STATUS_OK;
        for (int64_t i = 0; i < sizes[s]; i++) {
            float expected = 2 * tree_sum(ranks->n_ranks, i);
            wrong += memcmp(&x[i], &expected, sizeof expected) != 0;
        }
    }
    return wrong;
}

static int wrong_parts(struct collective *collective)
{
    int sizes[64], total = 0, wrong = 0;
    int32_t part[8], all[64 * 2];
    for (int rank = 0; rank < ranks->n_ranks; rank++)
        total += sizes[rank] = 4 * ((rank + 1) % 3); /* some ranks have nothing */
    for (int i = 0; i < 2; i++)
        part[i] = 100 * ranks->rank + i;
    backend->upload(device, on_device, part, sizeof part);
    collective->table->gather(collective, on_device, sizes, gathered);
    backend->download(device, all, gathered, (size_t)total);
    struct error error;
    backend->mark(device, 1);
    wrong += (collective->table->wait ? collective->table->wait(collective, 1, &error)
                                      : backend->wait(device, 1, &error)) != STATUS_OK;
    wrong += backend->synchronize(device, &error) != STATUS_OK;
    for (int rank = 0, at = 0; rank < ranks->n_ranks; rank++)
        for (int i = 0; i < sizes[rank] / 4; i++)
            wrong += all[at++] != 100 * rank + i;
    return wrong;
}

static void check(const char *exchange, const char *expected)
{
    struct error error;
    struct collective *made;
    enum status status = collective_on_device(ranks, exchange, backend, device, &made, &error);
    ck_assert_msg(collective_agree(ranks, status, &error) == STATUS_OK, "%s", error.text);
    struct collective *used = made ? made : ranks;
    ck_assert_str_eq(used->table->name, expected);
    ck_assert(used->table->bind(used, backend, device, MOST));
    int wrong = wrong_sums(used);
    if (ranks->n_ranks > 1) /* alone there is nothing to gather */
        wrong += wrong_parts(used);
    ck_assert_double_eq(largest_of_ranks(used, wrong), 0);
    ck_assert_int_eq(used->status, STATUS_OK);
    used->table->unbind(used);
    collective_free(made);
}

START_TEST(through_the_host)
{
    check("mpi", ranks->n_ranks == 1 ? "self" : "mpi");
}
END_TEST

START_TEST(on_the_device)
{
    const char *fallback = ranks->n_ranks == 1 ? "self" : backend->on_host ? "shm" : "mpi";
    check("auto", backend->on_host || ranks->n_ranks == 1 ? fallback : "nccl");
}
END_TEST

START_TEST(nccl_is_refused_where_it_cannot_be)
{
    struct error error = {0};
    struct collective *made = NULL;
    if (!backend->on_host || ranks->n_ranks == 1)
        return;
    ck_assert_int_eq(collective_on_device(ranks, "nccl", backend, device, &made, &error), STATUS_UNAVAILABLE);
    ck_assert_ptr_null(made);
    ck_assert_ptr_nonnull(strstr(error.text, "--collective"));
}
END_TEST

/* Every rank is told which two it is about. */
START_TEST(two_ranks_on_one_gpu_are_named)
{
    struct error error = {0};
    struct collective *made = NULL;
    if (backend->on_host || ranks->n_ranks == 1)
        return;
    unsetenv("NCCL_HOSTID");
    ck_assert_int_eq(collective_on_device(ranks, "nccl", backend, device, &made, &error),
                     STATUS_INVALID_ARGUMENT);
    ck_assert_msg(strstr(error.text, "ranks 0 and 1 have the same GPU"), "%s", error.text);
}
END_TEST

static bool is_emulated(void)
{
    const char *module = getenv("MILLRACE_CUDA_MODULE");
    return !backend->on_host && module && strstr(module, "emulated");
}

/* Slices of a GPU have its address and numbers of their own: NCCL does not join them. */
START_TEST(two_slices_of_a_gpu_are_named)
{
    struct error error = {0};
    struct collective *made = NULL;
    char number[16];
    if (!is_emulated() || ranks->n_ranks == 1)
        return;
    unsetenv("NCCL_HOSTID");
    snprintf(number, sizeof number, "%d", ranks->rank);
    setenv("MILLRACE_EMULATED_SLICE", number, 1);
    ck_assert_int_eq(collective_on_device(ranks, "nccl", backend, device, &made, &error),
                     STATUS_INVALID_ARGUMENT);
    unsetenv("MILLRACE_EMULATED_SLICE");
    ck_assert_msg(strstr(error.text, "ranks 0 and 1 have two slices (MIG) of one GPU"), "%s", error.text);
}
END_TEST

START_TEST(an_old_nccl_is_not_used)
{
    struct error error = {0};
    struct collective *made = NULL;
    if (!is_emulated() || ranks->n_ranks == 1)
        return;
    setenv("MILLRACE_EMULATED_NCCL", "21705", 1);
    ck_assert_int_eq(collective_on_device(ranks, "nccl", backend, device, &made, &error), STATUS_UNAVAILABLE);
    unsetenv("MILLRACE_EMULATED_NCCL");
    ck_assert_msg(strstr(error.text, "NCCL 2.17.5 is older than 2.18"), "%s", error.text);
}
END_TEST

/* The emulated module's, where that is what is open. */
static void fail_next_wait(void)
{
    enum { OUT_OF_MEMORY = 2 }; /* cudaErrorMemoryAllocation: an error that does not stay */
    void *module = dlopen(getenv("MILLRACE_CUDA_MODULE"), RTLD_NOW | RTLD_NOLOAD);
    ck_assert_msg(module != NULL, "%s", dlerror());
    void (*fail_call)(const char *call, int nth, int error) = NULL;
    *(void **)&fail_call = dlsym(module, "emulation_fail_call");
    ck_assert_ptr_nonnull(fail_call);
    fail_call("cudaStreamSynchronize", 1, OUT_OF_MEMORY);
    dlclose(module);
}

/* The others do not wait for it where NCCL's ranks meet: all get its sentence, and may try again. */
START_TEST(one_rank_that_cannot_start_stops_all)
{
    struct error error = {0};
    struct collective *made = NULL;
    char expected[64];
    if (!is_emulated() || ranks->n_ranks == 1)
        return;
    int failing = ranks->n_ranks - 1;
    if (ranks->rank == failing)
        fail_next_wait();
    ck_assert_int_eq(collective_on_device(ranks, "nccl", backend, device, &made, &error), STATUS_UNAVAILABLE);
    snprintf(expected, sizeof expected, "rank %d of %d: GPU 0, before NCCL starts", failing, ranks->n_ranks);
    ck_assert_msg(strncmp(error.text, expected, strlen(expected)) == 0, "%s", error.text);
    struct error again = error;
    ck_assert_int_eq(collective_agree(ranks, STATUS_UNAVAILABLE, &again), STATUS_UNAVAILABLE);
    ck_assert_str_eq(again.text, error.text); /* it says once whose it is */
    check("nccl", "nccl");
}
END_TEST

/* A host's name for each rank: the emulated machine has one GPU. */
static void tell_ranks_apart(void)
{
    char name[16];
    snprintf(name, sizeof name, "rank%d", ranks->rank);
    setenv("NCCL_HOSTID", name, 1);
    open_device();
}

Suite *mpi_suite(void)
{
    Suite *suite = suite_create("collective on a device");
    TCase *cases = tcase_create("device");
    tcase_add_checked_fixture(cases, tell_ranks_apart, close_device);
    tcase_add_test(cases, through_the_host);
    tcase_add_test(cases, on_the_device);
    tcase_add_test(cases, nccl_is_refused_where_it_cannot_be);
    tcase_add_test(cases, one_rank_that_cannot_start_stops_all);
    tcase_add_test(cases, two_ranks_on_one_gpu_are_named);
    tcase_add_test(cases, two_slices_of_a_gpu_are_named);
    tcase_add_test(cases, an_old_nccl_is_not_used);
    suite_add_tcase(suite, cases);
    return suite;
}
