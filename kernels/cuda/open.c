#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/device.h"
#include "kernels/cuda/library.h"
#include "kernels/cuda/place.h"
#include "kernels/cuda/scratch.h"

/* Opens and closes a GPU: finds out what it is, makes its stream and events, and allocates all memory that
 * operations will ever use.
 */
enum { STAGING_BYTES = 16 << 20, OLDEST_MAJOR = 8 };

size_t device_scratch_bytes(const struct device_options *options, enum precision precision)
{
    size_t (*const needs[])(const struct device_options *, enum precision) = {
        matmul_scratch_bytes, attention_scratch_bytes, head_draw_scratch_bytes};
    size_t most = STAGING_BYTES; /* weights pass through the scratch */
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        size_t bytes = needs[i](options, precision);
        most = bytes > most ? bytes : most;
    }
    return most;
}

enum status cuda_probe(int *n_devices, struct error *error)
{
    int n = 0;
    cudaError_t result = cudaGetDeviceCount(&n);
    if (n_devices != NULL)
        *n_devices = result == cudaSuccess ? n : 0;
    if (result == cudaSuccess && n > 0)
        return STATUS_OK;
    (void)cudaGetLastError();
    if (result == cudaErrorInsufficientDriver)
        return error_set(
            error, STATUS_UNAVAILABLE,
            "backend \"cuda\": there is no NVIDIA driver here, or it is too old for CUDA %d.%d; use \"cpu\"",
            CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    if (result == cudaErrorNoDevice || result == cudaSuccess)
        return error_set(error, STATUS_UNAVAILABLE,
                         "backend \"cuda\": this machine shows no GPU; use \"cpu\"");
    return error_set(error, STATUS_UNAVAILABLE, "backend \"cuda\": %s (%s); use \"cpu\"",
                     cudaGetErrorString(result), cudaGetErrorName(result));
}

/* *index becomes the number of the GPU, one of those that there are. */
static enum status check_options(const struct device_options *options, int *index, int *n_devices,
                                 struct error *error)
{
    enum status status = cuda_probe(n_devices, error);
    if (status != STATUS_OK)
        return status;
    *index = options->index < 0 ? (-1 - options->index) % *n_devices : options->index;
    if (*index >= *n_devices)
        return place_refuse(*index, *n_devices, error);
    if (options->precision == PRECISION_INT8)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "--precision int8 is a CPU's; a GPU has f32, bf16 and fp8");
    const struct {
        const char *name;
        int value, least, most;
    } fields[] = {
        {"max_rows", options->max_rows, 1, 1 << 24},
        {"max_positions", options->max_positions, 1, 1 << 20},
        {"max_columns", options->max_columns, 1, 1 << 20},
        {"precision", (int)options->precision, PRECISION_AUTO, PRECISION_FP8},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].value < fields[i].least || fields[i].value > fields[i].most)
            return error_set(error, STATUS_INVALID_ARGUMENT, "device option %s is %d; it must be %d to %d",
                             fields[i].name, fields[i].value, fields[i].least, fields[i].most);
    return STATUS_OK;
}

static int attribute(struct device *device, enum cudaDeviceAttr which)
{
    int value = 0;
    device_check(device, cudaDeviceGetAttribute(&value, which, device->index), "asking what the GPU can do");
    return value;
}

/* Products of e4m3 need compute capability 9.0 (library_lt.c); on older GPUs fp8 only saves memory. */
static const char *precision_name(const struct device *device)
{
    if (device->precision == PRECISION_FP8)
        return device->major >= 9 ? "fp8" : "fp8 weights, bf16 products";
    return device->precision == PRECISION_F32 ? "f32" : "bf16";
}

static void learn_device(struct device *device)
{
    struct cudaDeviceProp properties = {0};
    device->major = attribute(device, cudaDevAttrComputeCapabilityMajor);
    device->minor = attribute(device, cudaDevAttrComputeCapabilityMinor);
    device->n_multiprocessors = attribute(device, cudaDevAttrMultiProcessorCount);
    device->shared_bytes_max = attribute(device, cudaDevAttrMaxSharedMemoryPerBlockOptin);
    device_check(device, cudaGetDeviceProperties(&properties, device->index), "asking for the GPU's name");
    if (device->failure.status == STATUS_OK && device->major < OLDEST_MAJOR)
        failure_keep(&device->failure, STATUS_UNAVAILABLE,
                     "GPU %d is a %.64s of compute capability %d.%d; backend \"cuda\" needs %d.0 or newer; "
                     "use \"cpu\"",
                     device->index, properties.name, device->major, device->minor, OLDEST_MAJOR);
    snprintf(device->description, sizeof device->description, "cuda %d: %.64s (sm_%d%d), %s", device->index,
             properties.name, device->major, device->minor, precision_name(device));
}

static void make_stream(struct device *device)
{
    device_check(device, cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking),
                 "making a stream");
    for (int i = 0; i < DEVICE_MARKS; i++)
        device_check(device, cudaEventCreateWithFlags(&device->marks[i], cudaEventDisableTiming),
                     "making an event");
    for (int i = 0; i < STAGING_HALVES; i++)
        device_check(device, cudaEventCreateWithFlags(&device->staged[i], cudaEventDisableTiming),
                     "making an event");
}

static void reserve(struct device *device, const struct device_options *options)
{
    device->scratch_bytes = device_scratch_bytes(options, device->precision);
    device->scratch = device_allocate(device, device->scratch_bytes);
    device->staging_bytes = STAGING_BYTES;
    if (device->failure.status == STATUS_OK &&
        device_check(device,
                     cudaHostAlloc((void **)&device->bad_row, sizeof *device->bad_row, cudaHostAllocDefault),
                     "reserving pinned memory"))
        *device->bad_row = 0;
    if (device->failure.status == STATUS_OK)
        device_check(device, cudaHostAlloc(&device->staging, device->staging_bytes, cudaHostAllocDefault),
                     "reserving pinned memory for weights");
    if (device->failure.status == STATUS_OK)
        uploads_open(device);
}

static void set_up(struct device *device, const struct device_options *options, int n_devices)
{
    const char *graphs = getenv("MILLRACE_CUDA_GRAPHS");
    device->segments.off = graphs != NULL && strcmp(graphs, "off") == 0;
    if (!device_check(device, cudaSetDevice(device->index), "choosing the GPU"))
        return;
    learn_device(device);
    if (device->failure.status == STATUS_OK)
        place_settle(device, n_devices);
    if (device->failure.status == STATUS_OK)
        make_stream(device);
    if (device->failure.status == STATUS_OK)
        reserve(device, options);
    if (device->failure.status == STATUS_OK)
        library_open(device);
}

enum status cuda_open(struct device **device, const struct device_options *options, struct error *error)
{
    int index, n_devices;
    enum status status = check_options(options, &index, &n_devices, error);
    if (status != STATUS_OK)
        return status;
    struct device *opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a device");
    opened->index = index;
    opened->precision = options->precision == PRECISION_AUTO ? PRECISION_BF16 : options->precision;
    opened->max_rows = options->max_rows;
    opened->max_positions = options->max_positions;
    opened->max_columns = options->max_columns;
    opened->told = options->told;
    opened->told_context = options->told_context;
    set_up(opened, options, n_devices);
    if (opened->failure.status == STATUS_OK) {
        *device = opened;
        return STATUS_OK;
    }
    status = failure_tell(&opened->failure, error);
    cuda_close(opened);
    return status;
}

static void tell_graphs(struct device *device)
{
    char line[96];
    const struct segments *segments = &device->segments;
    snprintf(line, sizeof line, "GPU %d: %llu graphs recorded, played %llu times", device->index,
             (unsigned long long)segments->n_recorded, (unsigned long long)segments->n_played);
    if (segments->n_recorded > 0)
        device_tell(device, line);
}

/* CUDA's answers do not matter here: nothing is left that could report them. */
void cuda_close(struct device *device)
{
    if (device == NULL)
        return;
    if (device->stream != NULL)
        (void)cudaStreamSynchronize(device->stream);
    tell_graphs(device);
    library_close(device);
    segments_release(&device->segments);
    for (int i = 0; i < DEVICE_MARKS; i++)
        if (device->marks[i] != NULL)
            (void)cudaEventDestroy(device->marks[i]);
    for (int i = 0; i < STAGING_HALVES; i++)
        if (device->staged[i] != NULL)
            (void)cudaEventDestroy(device->staged[i]);
    uploads_close(device);
    if (device->bad_row != NULL)
        (void)cudaFreeHost(device->bad_row);
    if (device->staging != NULL)
        (void)cudaFreeHost(device->staging);
    if (device->scratch != NULL)
        (void)cudaFree(device->scratch);
    if (device->stream != NULL)
        (void)cudaStreamDestroy(device->stream);
    (void)cudaGetLastError();
    free(device);
}
