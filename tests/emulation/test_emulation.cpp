#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "tests/emulation/faults.h"
#include "tests/emulation/sample.h"

/* The emulator judged: right kernels give right numbers, every kind of wrong kernel is reported, streams wait
 * for nobody. */
static cudaStream_t stream;

static void setup(void)
{
    emulation_reset();
    ck_assert_int_eq(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
}

static void teardown(void)
{
    emulation_reset();
    cudaStreamDestroy(stream);
    emulation_set_order(0);
}

template <typename T> static T *device_memory(size_t n)
{
    void *memory = nullptr;
    ck_assert_int_eq(cudaMalloc(&memory, n * sizeof(T)), cudaSuccess);
    return (T *)memory;
}

template <typename T> static T *device_copy(const T *from, size_t n)
{
    T *memory = device_memory<T>(n);
    ck_assert_int_eq(cudaMemcpy(memory, from, n * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
    return memory;
}

template <typename T> static void read_back(T *to, const T *from, size_t n)
{
    ck_assert_int_eq(cudaMemcpy(to, from, n * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
}

START_TEST(test_barriers_and_shuffles)
{
    enum { BLOCKS = 5, N = 256 };
    float x[BLOCKS * N], y[BLOCKS];
    for (int i = 0; i < BLOCKS * N; i++)
        x[i] = (float)(i % 100);
    float *dx = device_copy(x, BLOCKS * N), *dy = device_memory<float>(BLOCKS);
    emulation_set_order(_i);
    ck_assert_int_eq(sample_sum(dx, dy, BLOCKS, N, stream), cudaSuccess);
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
    read_back(y, dy, BLOCKS);
    for (int b = 0; b < BLOCKS; b++) {
        float sum = 0;
        for (int i = 0; i < N; i++)
            sum += x[b * N + i];
        ck_assert_float_eq(y[b], sum);
    }
    cudaFree(dx), cudaFree(dy);
}
END_TEST

static void run_product(bool wait, float *c, double *expected)
{
    uint16_t a[256], b[128];
    for (int i = 0; i < 256; i++)
        a[i] = __float2bfloat16_rn((float)(i * 7 % 31) - 15).__x;
    for (int i = 0; i < 128; i++)
        b[i] = __float2bfloat16_rn((float)(i * 5 % 23) - 11).__x;
    for (int row = 0; row < 16; row++)
        for (int n = 0; n < 8; n++) {
            expected[row * 8 + n] = 0;
            for (int k = 0; k < 16; k++)
                expected[row * 8 + n] +=
                    (double)__bfloat162float({a[row * 16 + k]}) * __bfloat162float({b[n * 16 + k]});
        }
    uint16_t *da = device_copy(a, 256), *db = device_copy(b, 128);
    float *dc = device_memory<float>(128);
    ck_assert_int_eq(sample_product(da, db, dc, wait, stream), cudaSuccess);
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
    read_back(c, dc, 128);
    cudaFree(da), cudaFree(db), cudaFree(dc);
}

START_TEST(test_matrix_product)
{
    float c[128];
    double expected[128];
    run_product(true, c, expected);
    for (int i = 0; i < 128; i++)
        ck_assert_double_eq(c[i], expected[i]);
    ck_assert_uint_eq(emulation_counters_get().products, 1);
}
END_TEST

START_TEST(test_a_missing_wait_shows)
{
    float c[128];
    double expected[128];
    run_product(false, c, expected);
    ck_assert(isnan(c[0]));
}
END_TEST

static const char *const reports[SAMPLE_DEFECTS] = {
    "which 32 of 64 threads do not reach",
    "waits at the barrier of",
    "which not all of these lanes make",
    "make different calls at the same time",
    "of shared memory was read or written",
    "ldmatrix of 16 bytes at byte 256 of 256",
    "before the first byte of shared memory",
    "which nobody has",
    "that it never waited for",
    "which is no multiple of 16",
    "which nobody has",
};

START_TEST(test_defects_are_reported)
{
    float *memory = device_memory<float>(1024);
    ck_assert_int_eq(sample_broken((sample_defect)_i, memory, stream), cudaSuccess);
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaErrorLaunchFailure);
    ck_assert_msg(strstr(emulation_report(), reports[_i]) != nullptr, "defect %d: \"%s\"", _i,
                  emulation_report());
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaErrorLaunchFailure); /* it stays */
    ck_assert_int_eq(sample_race(memory, stream), cudaErrorLaunchFailure);
    emulation_reset();
    test_barriers_and_shuffles_fn(1); /* and the emulator goes on */
    cudaFree(memory);
}
END_TEST

START_TEST(test_a_race_depends_on_the_order)
{
    float x[2][65] = {};
    for (int order = 0; order < 2; order++) {
        float *dx = device_copy(x[order], 65);
        emulation_set_order(order);
        ck_assert_int_eq(sample_race(dx, stream), cudaSuccess);
        ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
        read_back(x[order], dx, 65);
        cudaFree(dx);
    }
    ck_assert_float_eq(x[0][64], 64);
    ck_assert_float_eq(x[1][64], 1);
}
END_TEST

START_TEST(test_streams_run_when_they_are_waited_for)
{
    float *pinned = nullptr, *device = device_memory<float>(65), pageable[65] = {};
    ck_assert_int_eq(cudaHostAlloc((void **)&pinned, sizeof pageable, 0), cudaSuccess);
    pinned[64] = 0;
    ck_assert_int_eq(cudaMemcpyAsync(device, pageable, sizeof pageable, cudaMemcpyHostToDevice, stream),
                     cudaSuccess);
    pageable[0] = 5; /* too early: it was not read yet */
    ck_assert_int_eq(sample_race(device, stream), cudaSuccess);
    ck_assert_int_eq(cudaMemcpyAsync(pinned, device, sizeof pageable, cudaMemcpyDeviceToHost, stream),
                     cudaSuccess);
    ck_assert_float_eq(pinned[64], 0);
    ck_assert_int_eq(cudaStreamQuery(stream), cudaErrorNotReady);
    while (cudaStreamQuery(stream) == cudaErrorNotReady)
        ;
    ck_assert_float_eq(pinned[64], 5 + 64);
    cudaFreeHost(pinned), cudaFree(device);
}
END_TEST

START_TEST(test_events_and_graphs)
{
    float x[65] = {};
    float *device = device_copy(x, 65);
    cudaEvent_t event;
    cudaGraph_t graph;
    cudaGraphExec_t instance;
    ck_assert_int_eq(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
    ck_assert_int_eq(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    ck_assert_int_eq(sample_race(device, stream), cudaSuccess);
    ck_assert_int_eq(cudaMemcpyAsync(device, device + 64, sizeof(float), cudaMemcpyDeviceToDevice, stream),
                     cudaSuccess);
    ck_assert_int_eq(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    ck_assert_int_eq(cudaGraphInstantiate(&instance, graph, 0), cudaSuccess);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(cudaGraphLaunch(instance, stream), cudaSuccess);
    ck_assert_int_eq(cudaEventRecord(event, stream), cudaSuccess);
    ck_assert_int_eq(cudaEventQuery(event), cudaErrorNotReady);
    ck_assert_int_eq(cudaEventSynchronize(event), cudaSuccess);
    read_back(x, device, 65);
    ck_assert_float_eq(x[0], 3 * 64);
    cudaGraphExecDestroy(instance), cudaGraphDestroy(graph), cudaEventDestroy(event), cudaFree(device);
}
END_TEST

START_TEST(test_calls_fail_on_demand)
{
    void *memory = nullptr;
    float x[1] = {};
    emulation_fail_call("cudaMalloc", 2, cudaErrorMemoryAllocation);
    float *device = device_memory<float>(1);
    ck_assert_int_eq(cudaMalloc(&memory, 1), cudaErrorMemoryAllocation);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorMemoryAllocation);
    ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
    ck_assert_int_eq(cudaMalloc(&memory, (size_t)1 << 40), cudaErrorMemoryAllocation);
    ck_assert_int_eq(cudaMemcpy(device, x, 2 * sizeof x, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    ck_assert_int_eq(cudaMemcpy(x, x, sizeof x, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    emulation_fail_call("cudaStreamSynchronize", 1, cudaErrorIllegalAddress);
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
    ck_assert_int_eq(cudaMalloc(&memory, 1), cudaErrorIllegalAddress);
    emulation_reset();
    ck_assert_int_eq(cudaFree(device), cudaSuccess);
}
END_TEST

START_TEST(test_number_formats)
{
    ck_assert_int_eq(__float2bfloat16_rn(1.0f + 0x1p-8f).__x, 0x3f80); /* a tie goes to even */
    ck_assert_int_eq(__float2bfloat16_rn(1.0f + 0x1p-8f + 0x1p-20f).__x, 0x3f81);
    ck_assert_int_eq(__float2bfloat16_rn(INFINITY).__x, 0x7f80);
    ck_assert(isnan(__bfloat162float(__float2bfloat16_rn(NAN))));
    ck_assert_float_eq(__half2float(__ushort_as_half(0x3555)), 0x1.554p-2f);
    for (int code = 0; code < 0x7f;
         code++) { /* every e4m3 number is itself, and midway goes to the even code */
        __nv_fp8_e4m3 low, high;
        low.__x = (unsigned char)code, high.__x = (unsigned char)(code + 1);
        float x = (float)low;
        ck_assert_int_eq(__nv_fp8_e4m3(x).__x, code);
        ck_assert_int_eq(__nv_fp8_e4m3(-x).__x, code | 0x80);
        if (code < 0x7e)
            ck_assert_int_eq(__nv_fp8_e4m3((x + (float)high) / 2).__x, code + (code & 1));
    }
    ck_assert_float_eq((float)__nv_fp8_e4m3(1e9f), 448);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emulation");
    TCase *tests = tcase_create("emulation");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_barriers_and_shuffles, 0, 2);
    tcase_add_test(tests, test_matrix_product);
    tcase_add_test(tests, test_a_missing_wait_shows);
    tcase_add_loop_test(tests, test_defects_are_reported, 0, SAMPLE_DEFECTS);
    tcase_add_test(tests, test_a_race_depends_on_the_order);
    tcase_add_test(tests, test_streams_run_when_they_are_waited_for);
    tcase_add_test(tests, test_events_and_graphs);
    tcase_add_test(tests, test_calls_fail_on_demand);
    tcase_add_test(tests, test_number_formats);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
