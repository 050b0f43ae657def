#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda_module.h"
#include "tests/emulation/faults.h"
#include "tests/emulation/nvtx3/nvToolsExt.h"
#include "tests/kernels/any.h"
#include "tests/kernels/support.h"

/*
 * What becomes of a CUDA call that fails: the CUDA backend on the emulator, whose calls fail on demand.
 * MILLRACE_CUDA_MODULE names the emulated module; its emulator is reached by name.
 */
const struct backend *any_backend;

static void (*fail_call)(const char *call, int nth, cudaError_t error);
static void (*forget)(void);
static void (*set_memory)(size_t size_bytes);
static struct emulation_ranges (*ranges)(void);
static const struct device_options options = {
    .precision = PRECISION_FP8, .max_rows = 64, .max_positions = 8, .max_columns = 128};

/* Opens, makes a weight, multiplies, copies, plays a segment three times, waits, closes. */
static enum status whole_life(struct error *error)
{
    struct device *device = NULL;
    struct weight *weight = NULL;
    static float w[64 * 128];
    static uint16_t back[64 * 64];
    const struct matrix_view view = {w, DTYPE_F32, 64, 128, 128};
    const struct segment_key key = {.which = 1};
    enum status status = any_backend->open(&device, &options, error);
    if (status != STATUS_OK)
        return status;
    void *x = any_backend->allocate(device, 64 * 128 * 2), *y = any_backend->allocate(device, sizeof back);
    void *pinned = any_backend->host_allocate(device, sizeof back);
    status = any_backend->weight_create(device, WEIGHT_PRODUCT, &view, 1, NULL, 1, &weight, error);
    if (status == STATUS_OK) {
        const struct matmul op = {.x = x,
                                  .x_type = DTYPE_BF16,
                                  .ld_x = 128,
                                  .rows = 64,
                                  .weight = weight,
                                  .y = y,
                                  .y_type = DTYPE_BF16,
                                  .ld_y = 64};
        any_backend->upload(device, x, w, 64 * 128 * 2);
        for (int i = 0; i < 3; i++)
            if (any_backend->segment_begin(device, &key)) {
                any_backend->matmul(device, &op);
                any_backend->segment_end(device);
            }
        any_backend->download(device, back, y, sizeof back);
        any_backend->mark(device, 0);
        status = any_backend->wait(device, 0, error);
        if (status == STATUS_OK)
            status = any_backend->synchronize(device, error);
    }
    any_backend->weight_free(device, weight);
    any_backend->release(device, x), any_backend->release(device, y);
    any_backend->host_release(device, pinned);
    any_backend->close(device);
    return status;
}

/* Each call of each function fails once; until there is none that many. */
static const char *const calls[] = {"cudaGetDeviceCount",
                                    "cudaSetDevice",
                                    "cudaDeviceGetAttribute",
                                    "cudaGetDeviceProperties",
                                    "cudaMalloc",
                                    "cudaHostAlloc",
                                    "cudaMemsetAsync",
                                    "cudaMemcpyAsync",
                                    "cudaPointerGetAttributes",
                                    "cudaStreamCreateWithFlags",
                                    "cudaStreamSynchronize",
                                    "cudaEventCreateWithFlags",
                                    "cudaEventRecord",
                                    "cudaEventSynchronize",
                                    "cudaStreamBeginCapture",
                                    "cudaStreamEndCapture",
                                    "cudaGraphInstantiate",
                                    "cudaGraphLaunch",
                                    "launch"};
enum { N_CALLS = sizeof calls / sizeof calls[0] };

START_TEST(test_every_call_may_fail)
{
    int n_failed = 0;
    for (int nth = 1; nth < 100; nth++) {
        struct error error = {0};
        forget();
        fail_call(calls[_i], nth, cudaErrorInvalidResourceHandle);
        enum status status = whole_life(&error);
        fail_call(NULL, 0, cudaSuccess);
        if (status == STATUS_OK)
            break;
        n_failed++;
        ck_assert_msg(strstr(error.text, "cudaErrorInvalidResourceHandle") != NULL, "%s: %s", calls[_i],
                      error.text);
        ck_assert_int_eq(error.status, status);
    }
    ck_assert_msg(n_failed > 0, "no call of %s was checked", calls[_i]);
    forget();
    ck_assert_int_eq(whole_life(NULL), STATUS_OK); /* and nothing of it is left */
}
END_TEST

/* Every range that a profiler is told of ends, whether a segment runs, is recorded or is played. */
START_TEST(test_a_profiler_sees_ranges_that_end)
{
    forget();
    struct emulation_ranges before = ranges();
    ck_assert_int_eq(whole_life(NULL), STATUS_OK);
    ck_assert_int_eq(ranges().n_begun - before.n_begun,
                     3 + 2); /* three segments, two of which made the product */
    ck_assert_int_eq(ranges().n_open, 0);
}
END_TEST

START_TEST(test_a_device_without_room_says_what_would_fit)
{
    struct error error = {0};
    struct device *device = NULL;
    forget();
    set_memory(48 << 20);
    ck_assert_int_eq(any_backend->open(&device, &options, NULL), STATUS_OK);
    ck_assert_ptr_null(any_backend->allocate(device, 100 << 20));
    ck_assert_int_eq(any_backend->synchronize(device, &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_msg(strstr(error.text, "has no room for 100.0 MiB more") != NULL &&
                      strstr(error.text, "of its 48.0 MiB are free; use a smaller --batch-tokens") != NULL,
                  "%s", error.text);
    any_backend->close(device);
    set_memory(8 << 20);
    ck_assert_int_eq(any_backend->open(&device, &options, &error), STATUS_RESOURCE_EXHAUSTED);
    set_memory((size_t)4 << 30);
}
END_TEST

/* An error after which a GPU refuses everything is told as that; the calls after it do no harm. */
START_TEST(test_a_sticky_error_says_so)
{
    struct error error = {0};
    forget();
    fail_call("cudaEventSynchronize", 1, cudaErrorIllegalAddress);
    ck_assert_int_eq(whole_life(&error), STATUS_INTERNAL);
    ck_assert_ptr_nonnull(strstr(error.text, "has to be started again"));
    forget();
    fail_call("cudaEventSynchronize", 1,
              cudaErrorPeerAccessAlreadyEnabled); /* among their numbers, harmless */
    ck_assert_int_eq(whole_life(&error), STATUS_INTERNAL);
    ck_assert_ptr_null(strstr(error.text, "has to be started again"));
    forget();
}
END_TEST

START_TEST(test_without_a_driver)
{
    const struct backend *backend = NULL;
    struct error error = {0};
    forget();
    fail_call("cudaGetDeviceCount", 1, cudaErrorInsufficientDriver);
    ck_assert_int_eq(backend_find("cuda", &backend, &error), STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.text, "there is no NVIDIA driver here"));
    fail_call("cudaGetDeviceCount", 1, cudaErrorNoDevice);
    ck_assert_int_eq(backend_find("cuda", &backend, &error), STATUS_UNAVAILABLE);
    ck_assert_str_eq(error.text, "backend \"cuda\": this machine shows no GPU; use \"cpu\"");
    fail_call("cudaGetDeviceCount", 1, cudaErrorInsufficientDriver);
    ck_assert_int_eq(backend_find("auto", &backend, &error), STATUS_OK);
    ck_assert_ptr_eq(backend, &backend_cpu);
    ck_assert_int_eq(backend_find("auto", &backend, &error), STATUS_OK);
    ck_assert_ptr_eq(backend, any_backend);
}
END_TEST

/* Operations that are called wrongly are refused, and say what they want. */
START_TEST(test_products_refuse_the_wrong_format)
{
    static const float w[16 * 16];
    const struct matrix_view view = {w, DTYPE_F32, 16, 16, 16};
    const enum weight_use uses[] = {WEIGHT_PRODUCT, WEIGHT_CONDITIONING};
    const enum dtype wrong[] = {DTYPE_F32, DTYPE_BF16};
    for (int i = 0; i < 2; i++) {
        struct device *device = any_open(PRECISION_BF16);
        struct weight *weight = NULL;
        struct error error;
        ck_assert_int_eq(any_backend->weight_create(device, uses[i], &view, 1, NULL, 1, &weight, NULL),
                         STATUS_OK);
        void *x = any_backend->allocate(device, 4096);
        const struct matmul op = {
            .x = x, .x_type = wrong[i], .ld_x = 16, .rows = 4, .weight = weight, .y = x, .ld_y = 16};
        any_backend->matmul(device, &op);
        ck_assert_int_eq(any_backend->synchronize(device, &error), STATUS_INVALID_ARGUMENT);
        ck_assert_str_eq(error.text,
                         i == 0 ? "matmul of [4, 16]: x must be BF16" : "matmul of [4, 16]: x must be F32");
        any_backend->weight_free(device, weight);
        any_backend->release(device, x);
        any_backend->close(device);
    }
}
END_TEST

static Suite *faults_suite(void)
{
    Suite *suite = suite_create("faults");
    TCase *tests = tcase_create("faults");
    tcase_add_loop_test(tests, test_every_call_may_fail, 0, N_CALLS);
    tcase_add_test(tests, test_a_profiler_sees_ranges_that_end);
    tcase_add_test(tests, test_a_device_without_room_says_what_would_fit);
    tcase_add_test(tests, test_a_sticky_error_says_so);
    tcase_add_test(tests, test_without_a_driver);
    tcase_add_test(tests, test_products_refuse_the_wrong_format);
    suite_add_tcase(suite, tests);
    return suite;
}

static bool reach_emulator(void)
{
    void *library = dlopen(getenv("MILLRACE_CUDA_MODULE"), RTLD_NOW | RTLD_NOLOAD);
    if (library == NULL)
        return false;
    *(void **)&fail_call = dlsym(library, "emulation_fail_call");
    *(void **)&forget = dlsym(library, "emulation_reset");
    *(void **)&set_memory = dlsym(library, "emulation_set_memory");
    *(void **)&ranges = dlsym(library, "emulation_ranges_get");
    return fail_call != NULL && forget != NULL && set_memory != NULL && ranges != NULL;
}

int main(void)
{
    struct error error = {0};
    if (backend_find("cuda", &any_backend, &error) != STATUS_OK || !reach_emulator()) {
        fprintf(stderr, "the emulated CUDA module cannot be opened: %s\n", error.text);
        return EXIT_FAILURE;
    }
    SRunner *runner = srunner_create(faults_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
