#include "kernels/cuda/device.h"
#include "kernels/cuda_module.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/ranges.h"

#include <string.h>

/* The cuda backend's table, and the operations that copy between host and device or wait. */

static const char *describe(const struct device *device)
{
    return device->description;
}

static int count(void)
{
    int n_devices = 0;
    (void)cuda_probe(&n_devices, NULL);
    return n_devices;
}

static enum dtype activation_type(const struct device *device)
{
    return device->precision == PRECISION_F32 ? DTYPE_F32 : DTYPE_BF16;
}

static enum dtype table_type(const struct device *device)
{
    (void)device;
    return DTYPE_F32;
}

static struct device_memory memory(const struct device *device)
{
    struct device_memory memory = {0};
    (void)device;
    if (cudaMemGetInfo(&memory.free_bytes, &memory.total_bytes) != cudaSuccess)
        memory = (struct device_memory){0};
    return memory;
}

/* Keeps as a failure what a kernel could only note down: a kernel cannot return an error. */
static void read_notes(struct device *device)
{
    if (*device->bad_row > 0)
        failure_keep(&device->failure, STATUS_INTERNAL,
                     "row %d of the head has no finite logits; is the model damaged?", *device->bad_row - 1);
}

static enum status failure(struct device *device, struct error *error)
{
    read_notes(device);
    return failure_tell(&device->failure, error);
}

static enum status synchronize(struct device *device, struct error *error)
{
    device_check(device, cudaStreamSynchronize(device->stream), "waiting for the GPU");
    return failure(device, error);
}

static void mark(struct device *device, int slot)
{
    if (device->failure.status == STATUS_OK)
        device_check(device, cudaEventRecord(device->marks[slot], device->stream), "marking a point");
}

static enum status wait(struct device *device, int slot, struct error *error)
{
    if (device->failure.status == STATUS_OK)
        device_check(device, cudaEventSynchronize(device->marks[slot]), "waiting for a point");
    return failure(device, error);
}

static void *host_allocate(struct device *device, size_t size_bytes)
{
    void *memory = NULL;
    if (device->failure.status != STATUS_OK ||
        !device_check(device, cudaHostAlloc(&memory, size_bytes > 0 ? size_bytes : 1, cudaHostAllocDefault),
                      "reserving pinned memory of the host"))
        return NULL;
    return memset(memory, 0, size_bytes);
}

static void host_release(struct device *device, void *memory)
{
    if (memory != NULL)
        device_check(device, cudaFreeHost(memory), "freeing pinned memory");
}

static void download(struct device *device, void *to, const void *from, size_t size_bytes)
{
    if (device->failure.status == STATUS_OK && size_bytes > 0)
        device_check(device, cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyDeviceToHost, device->stream),
                     "copying");
}

/*
 * Ranges of a profiler (nsys, ncu --nvtx): the operations by name, and around them the stretch of blocks that
 * is recorded and played. Without a profiler a range costs a test of a pointer.
 */
#define RANGED(operation)                                                    \
    static void operation(struct device *device, const struct operation *op) \
    {                                                                        \
        nvtxRangePushA(#operation);                                          \
        cuda_##operation(device, op);                                        \
        nvtxRangePop();                                                      \
    }
RANGED(matmul)
RANGED(norm_modulate)
RANGED(gated_add)
RANGED(attention)
RANGED(head_scan)
RANGED(head_choose)
RANGED(head_draw)

/* A stretch that is played has no end of its own. */
static bool segment_begin(struct device *device, const struct segment_key *key)
{
    nvtxRangePushA("blocks");
    bool makes_calls = cuda_segment_begin(device, key);
    if (!makes_calls)
        nvtxRangePop();
    return makes_calls;
}

static void segment_end(struct device *device)
{
    cuda_segment_end(device);
    nvtxRangePop();
}

static const struct backend backend_cuda = {
    .name = "cuda",
    .on_host = false,
    .count = count,
    .open = cuda_open,
    .close = cuda_close,
    .describe = describe,
    .activation_type = activation_type,
    .table_type = table_type,
    .memory = memory,
    .synchronize = synchronize,
    .mark = mark,
    .wait = wait,
    .allocate = device_allocate,
    .release = device_release,
    .host_allocate = host_allocate,
    .host_release = host_release,
    .upload = cuda_upload,
    .download = download,
    .weight_create = cuda_weight_create,
    .weight_free = cuda_weight_free,
    .weight_bytes = cuda_weight_bytes,
    .embed = cuda_embed,
    .gather_rows = cuda_gather_rows,
    .select_ids = cuda_select_ids,
    .write_drawn = cuda_write_drawn,
    .matmul = matmul,
    .norm_modulate = norm_modulate,
    .gated_add = gated_add,
    .attention = attention,
    .head_scan = head_scan,
    .head_choose = head_choose,
    .head_draw = head_draw,
    .add = cuda_add,
    .segment_begin = segment_begin,
    .segment_end = segment_end,
};

static enum status probe(struct error *error)
{
    return cuda_probe(NULL, error);
}

static size_t workspace_bytes(const struct device_options *options)
{
    return device_scratch_bytes(options,
                                options->precision == PRECISION_AUTO ? PRECISION_BF16 : options->precision);
}

/* The only name that leaves the library. */
extern const struct cuda_module millrace_cuda_module;
__attribute__((visibility("default"))) const struct cuda_module millrace_cuda_module = {
    .version = CUDA_MODULE_VERSION,
    .backend = &backend_cuda,
    .probe = probe,
    .workspace_bytes = workspace_bytes,
    .nccl_create = collective_nccl_create, /* NULL where the build has no NCCL: it is weak */
};
