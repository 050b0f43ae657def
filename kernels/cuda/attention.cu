#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/scratch.h"

/*
 * Chooses which of the two attention paths runs.
 *
 * Keys and queries are rotated once, in a pass of their own, into scratch. If each block of queries rotated
 * the keys that it uses, every key would be rotated again for each block of the sequence: 8 times at 1,024
 * positions and 128 queries a block. That costs about as many operations as the softmax, and tiles could not
 * come by cp.async. The pass moves 4 bytes per element of q and of k once: at width 2,048 and 32,768 rows
 * 536 MB, about 0.15 ms of an H200's memory beside 0.27 TFLOP of attention (0.9 ms at 300 TFLOP/s) and 3.3
 * TFLOP of the layer's products (expected, not measured). A block that rotates its queries where it loads
 * them pays 190 instructions for 8 elements: a tenth of its time at 1,024 positions.
 */
static size_t items_bytes(size_t n_items)
{
    return (n_items * sizeof(struct attention_item) + 255) / 256 * 256;
}

extern "C" size_t attention_scratch_bytes(const struct device_options *options, enum precision precision)
{
    if (precision == PRECISION_F32)
        return 0;
    size_t rows = (size_t)options->max_rows;
    return items_bytes(2 * rows) + rows * (size_t)options->max_columns * sizeof(__nv_bfloat16);
}

static bool begins_on_16_bytes(const void *p, int64_t ld)
{
    return (uintptr_t)p % 16 == 0 && ld % 8 == 0;
}

/* The model's shape and its tensors' addresses decide, never the number of rows: a row always takes the same
 * path. */
static bool suits_tensor_cores(const struct device *device, const struct attention *op)
{
    /* room for rotated keys and queries: max_columns is the widest row, that of the MLP */
    bool has_room = (int64_t)op->n_heads * op->head_size * 2 <= device->max_columns;
    return has_room && device->precision != PRECISION_F32 && op->head_size % 8 == 0 &&
           begins_on_16_bytes(op->q, op->ld_q) && begins_on_16_bytes(op->k, op->ld_kv) &&
           begins_on_16_bytes(op->v, op->ld_kv) && (uintptr_t)op->rotary % 16 == 0;
}

/* How long n blocks take, in units of 64 queries' work: as many as fit run at a time, and equally fast. */
static int64_t time_of(const struct device *device, int64_t n_blocks, int at_once, int work)
{
    int64_t places = (int64_t)at_once * device->n_multiprocessors;
    return (n_blocks + places - 1) / places * at_once * work;
}

/*
 * Blocks of 128 queries read keys and values half as often as blocks of 64; two fit on a multiprocessor, and
 * three of 64. What counts at small batches is the last wave: blocks that run alone while the rest of the GPU
 * waits. Short sequences leave a block of 128 half empty. A row's bits are the same either way.
 */
static int choose_block_queries(const struct device *device, const struct attention *op)
{
    int64_t of_128 = (int64_t)(op->n_queries / 128 + op->n_sequences) * op->n_heads,
            of_64 = (int64_t)(op->n_queries / 64 + op->n_sequences) * op->n_heads;
    if (op->n_queries % 128 == 0 && op->n_sequences == 1)
        of_128 -= op->n_heads, of_64 -= op->n_heads; /* exact, where one text is alone */
    bool quicker = time_of(device, of_128, 2, 2) <= time_of(device, of_64, 3, 1);
    return op->head_size <= 128 && quicker && op->n_queries > 96 * op->n_sequences ? 128 : 64;
}

static void run_tensor(struct device *device, const struct attention *op)
{
    struct attention_work work = {};
    work.op = *op;
    work.block_queries = choose_block_queries(device, op);
    work.n_items = op->n_queries / work.block_queries + op->n_sequences;
    size_t list = items_bytes((size_t)work.n_items);
    size_t rows = (size_t)device->max_rows * op->n_heads * op->head_size * sizeof(__nv_bfloat16);
    char *scratch = (char *)device_scratch(device, "attention", list + 2 * rows);
    if (scratch == NULL)
        return;
    work.items = (struct attention_item *)scratch;
    work.keys = (__nv_bfloat16 *)(scratch + list);
    work.queries = (__nv_bfloat16 *)(scratch + list + rows);
    if (device_check(device, attention_prepare(device, &work), "attention, keys and queries"))
        device_check(device, attention_tensor(device, &work), "attention");
}

static bool sizes_fit(struct device *device, const struct attention *op)
{
    if (op->head_size < 2 || op->head_size > ATTENTION_HEAD_SIZE_MAX || op->head_size % 2 != 0)
        failure_keep(&device->failure, STATUS_OUT_OF_RANGE,
                     "attention with head size %d: it must be even and at most %d", op->head_size,
                     ATTENTION_HEAD_SIZE_MAX);
    else if (op->longest > device->max_positions)
        failure_keep(&device->failure, STATUS_OUT_OF_RANGE,
                     "attention over a sequence of %d positions: the device was opened for at most %d",
                     op->longest, device->max_positions);
    else
        return true;
    return false;
}

extern "C" void cuda_attention(struct device *device, const struct attention *op)
{
    if (!device_accepts(device, "attention", op->n_queries, (int64_t)op->n_heads * op->head_size) ||
        !sizes_fit(device, op) || op->n_heads == 0 || op->n_queries == 0 || op->n_sequences == 0)
        return;
    if (suits_tensor_cores(device, op))
        run_tensor(device, op);
    else
        device_check(device, attention_plain(device, op), "attention");
}
