#include "bench/device_ops.h"

#include <stdio.h>
#include <stdlib.h>

/* What one operation needs. One struct serves all kinds, because all members are small. */
struct operands {
    void *memory[16];
    int n_memory;
    bool failed;
    struct weight *weight;
    struct matmul matmul;
    struct norm_modulate norm;
    struct gated_add gated;
    struct attention attention;
    struct head_scan scan;
    struct head_draw draw;
    int32_t columns[2];
    const void *from;
    void *to;
    const int32_t *index;
    size_t row_bytes;
    int rows;
};

static void *take(const struct device_bench *bench, struct operands *o, size_t bytes)
{
    void *memory = bench->backend->allocate(bench->device, bytes ? bytes : 64);
    o->failed |= !memory;
    return o->memory[o->n_memory++] = memory;
}

static void *take_from(const struct device_bench *bench, struct operands *o, const void *from, size_t bytes)
{
    void *memory = take(bench, o, bytes);
    if (memory)
        bench->backend->upload(bench->device, memory, from, bytes);
    return memory;
}

/* A small number that depends on i alone, in [-1/2, 1/2). */
static float number(size_t i)
{
    uint64_t x = (i + 1) * 0x9E3779B97F4A7C15u;
    return (float)((x ^ x >> 31) & 0xFFFF) * 0x1p-16f - 0.5f;
}

static void store(enum dtype type, void *to, size_t i, float value)
{
    union {
        float f;
        uint32_t bits;
    } u = {value};
    if (type == DTYPE_BF16)
        ((uint16_t *)to)[i] = (uint16_t)(u.bits >> 16); /* cut off: any number will do */
    else
        ((float *)to)[i] = value;
}

static void *numbers(const struct device_bench *bench, struct operands *o, enum dtype type, size_t n,
                     float scale)
{
    void *host = malloc(n * dtype_bytes(type) + 64);
    o->failed |= !host;
    for (size_t i = 0; host && i < n; i++)
        store(type, host, i, number(i) * scale);
    void *memory = host ? take_from(bench, o, host, n * dtype_bytes(type)) : NULL;
    struct error unused;
    o->failed |= bench->backend->synchronize(bench->device, &unused) != STATUS_OK;
    free(host);
    return memory;
}

static int32_t *integers(const struct device_bench *bench, struct operands *o, int n, int step, int modulus)
{
    int32_t *host = malloc((size_t)n * sizeof *host);
    for (int i = 0; host && i < n; i++)
        host[i] = (int32_t)((int64_t)i * step % modulus);
    int32_t *memory = host ? take_from(bench, o, host, (size_t)n * sizeof *host) : NULL;
    o->failed |= !host;
    struct error unused;
    o->failed |= bench->backend->synchronize(bench->device, &unused) != STATUS_OK;
    free(host);
    return memory;
}

static struct weight *make_weight(const struct device_bench *bench, struct operands *o, enum weight_use use,
                                  int n_out, int n_in, struct error *error)
{
    size_t n = (size_t)n_out * (size_t)n_in;
    float *host = malloc(n * sizeof *host);
    for (size_t i = 0; host && i < n; i++)
        host[i] = number(i) * 0.05f;
    const struct matrix_view view = {host, DTYPE_F32, n_out, n_in, n_in};
    o->failed |= !host || bench->backend->weight_create(bench->device, use, &view, 1, NULL, 1, &o->weight,
                                                        error) != STATUS_OK;
    free(host);
    return o->weight;
}

static void run_matmul(const struct device_bench *bench, void *o)
{
    bench->backend->matmul(bench->device, &((struct operands *)o)->matmul);
}
static void run_norm(const struct device_bench *bench, void *o)
{
    bench->backend->norm_modulate(bench->device, &((struct operands *)o)->norm);
}
static void run_gated(const struct device_bench *bench, void *o)
{
    bench->backend->gated_add(bench->device, &((struct operands *)o)->gated);
}
static void run_attention(const struct device_bench *bench, void *o)
{
    bench->backend->attention(bench->device, &((struct operands *)o)->attention);
}
static void run_scan(const struct device_bench *bench, void *o)
{
    bench->backend->head_scan(bench->device, &((struct operands *)o)->scan);
}
static void run_draw(const struct device_bench *bench, void *o)
{
    bench->backend->head_draw(bench->device, &((struct operands *)o)->draw);
}
static void run_copy(const struct device_bench *bench, void *context)
{
    struct operands *o = context;
    bench->backend->gather_rows(bench->device, o->from, o->row_bytes, o->index, o->rows, o->to);
}

static void release(const struct device_bench *bench, void *context)
{
    struct operands *o = context;
    for (int i = 0; i < o->n_memory; i++)
        bench->backend->release(bench->device, o->memory[i]);
    if (o->weight)
        bench->backend->weight_free(bench->device, o->weight);
    free(o);
}

static int rows_of(const struct device_bench *bench)
{
    return bench->sequences * bench->length;
}

static void make_product(const struct device_bench *bench, struct operands *o, struct timed_op *op, int rows,
                         int n_out, int n_in, enum activation activation, enum dtype y_type,
                         struct error *error)
{
    o->matmul = (struct matmul){.x = numbers(bench, o, bench->activation, (size_t)rows * (size_t)n_in, 1),
                                .x_type = bench->activation,
                                .ld_x = n_in,
                                .rows = rows,
                                .weight = make_weight(bench, o, WEIGHT_PRODUCT, n_out, n_in, error),
                                .activation = activation,
                                .y = take(bench, o, (size_t)rows * (size_t)n_out * dtype_bytes(y_type)),
                                .y_type = y_type,
                                .ld_y = n_out};
    if (activation == ACTIVATION_GELU_TANH)
        o->matmul.bias = numbers(bench, o, DTYPE_F32, (size_t)n_out, 1);
    op->run = run_matmul;
    op->flop = 2.0 * rows * n_out * n_in;
    op->bytes = (double)dtype_bytes(bench->activation) * ((double)rows * n_in + (double)n_out * n_in) +
                (double)dtype_bytes(y_type) * rows * n_out;
    snprintf(op->shape, sizeof op->shape, "M=%d N=%d K=%d", rows, n_out, n_in);
}

static void make_norm(const struct device_bench *bench, struct operands *o, struct timed_op *op)
{
    int rows = rows_of(bench), width = bench->hidden;
    size_t n = (size_t)rows * (size_t)width;
    o->norm = (struct norm_modulate){.x = numbers(bench, o, DTYPE_F32, n, 1),
                                     .weight = numbers(bench, o, DTYPE_F32, (size_t)width, 1),
                                     .rows = rows,
                                     .width = width,
                                     .modulation = numbers(bench, o, DTYPE_F32, 6 * (size_t)width, 1),
                                     .ld_modulation = 6 * width,
                                     .scale_offset = width,
                                     .condition_of_row = integers(bench, o, rows, 0, 1),
                                     .y = take(bench, o, n * dtype_bytes(bench->activation))};
    op->run = run_norm;
    op->bytes = (double)n * (double)(sizeof(float) + dtype_bytes(bench->activation));
    snprintf(op->shape, sizeof op->shape, "rows=%d width=%d", rows, width);
}

static void make_gated(const struct device_bench *bench, struct operands *o, struct timed_op *op)
{
    int rows = rows_of(bench), width = bench->hidden;
    size_t n = (size_t)rows * (size_t)width;
    o->gated = (struct gated_add){.x = numbers(bench, o, DTYPE_F32, n, 1),
                                  .y = numbers(bench, o, DTYPE_F32, n, 1e-6f),
                                  .rows = rows,
                                  .width = width,
                                  .modulation = numbers(bench, o, DTYPE_F32, (size_t)width, 1),
                                  .ld_modulation = width,
                                  .condition_of_row = integers(bench, o, rows, 0, 1)};
    op->run = run_gated;
    op->bytes = 3.0 * sizeof(float) * (double)n;
    snprintf(op->shape, sizeof op->shape, "rows=%d width=%d", rows, width);
}

static void make_attention(const struct device_bench *bench, struct operands *o, struct timed_op *op)
{
    int rows = rows_of(bench), width = bench->hidden, size = width / bench->n_heads;
    size_t n = (size_t)rows * (size_t)width, element = dtype_bytes(bench->activation);
    char *key_value = numbers(bench, o, bench->activation, 2 * n, 1);
    int32_t *start = integers(bench, o, bench->sequences + 1, bench->length, rows + 1);
    o->attention =
        (struct attention){.q = numbers(bench, o, bench->activation, n, 1),
                           .k = key_value,
                           .v = key_value ? key_value + (size_t)width * element : NULL,
                           .ld_q = width,
                           .ld_kv = 2 * width,
                           .ld_o = width,
                           .n_heads = bench->n_heads,
                           .head_size = size,
                           .rotary = numbers(bench, o, DTYPE_F32, (size_t)(bench->length * size), 1),
                           .n_sequences = bench->sequences,
                           .n_queries = rows,
                           .longest = bench->length,
                           .key_start = start,
                           .query_start = start,
                           .query_position = integers(bench, o, rows, 1, bench->length),
                           .o = take(bench, o, n * element)};
    op->run = run_attention;
    op->flop = 4.0 * rows * bench->length * width;
    op->bytes = 4.0 * (double)(n * element);
    snprintf(op->shape, sizeof op->shape, "%d x L=%d heads=%d size=%d", bench->sequences, bench->length,
             bench->n_heads, size);
}

/* As many rows at a time as the sampler takes. */
static int head_rows(const struct device_bench *bench)
{
    return bench->backend->on_host ? 512 : 2048;
}

static void make_scan(const struct device_bench *bench, struct operands *o, struct timed_op *op,
                      struct error *error)
{
    int n_tiles = (bench->vocabulary + VOCABULARY_TILE - 1) / VOCABULARY_TILE, n_in = bench->hidden;
    int rows = rows_of(bench) < head_rows(bench) ? rows_of(bench) : head_rows(bench);
    o->columns[1] = bench->vocabulary;
    o->scan =
        (struct head_scan){.x = numbers(bench, o, bench->activation, (size_t)rows * (size_t)n_in, 1),
                           .rows = rows,
                           .weight = make_weight(bench, o, WEIGHT_HEAD, bench->vocabulary, n_in, error),
                           .bias = numbers(bench, o, DTYPE_F32, (size_t)bench->vocabulary, 1),
                           .n_groups = 1,
                           .group_column = o->columns,
                           .inverse_temperature = numbers(bench, o, DTYPE_F32, (size_t)rows, 1),
                           .left_out = integers(bench, o, rows, 7, bench->vocabulary),
                           .tiles = take(bench, o, sizeof(struct exp_sum) * (size_t)rows * (size_t)n_tiles),
                           .groups = take(bench, o, sizeof(struct exp_sum) * (size_t)rows),
                           .left_out_logit = take(bench, o, sizeof(float) * (size_t)rows)};
    op->run = run_scan;
    op->flop = 2.0 * rows * bench->vocabulary * n_in;
    op->bytes =
        (double)dtype_bytes(bench->activation) * ((double)bench->vocabulary * n_in + (double)rows * n_in);
    snprintf(op->shape, sizeof op->shape, "M=%d N=%d K=%d", rows, bench->vocabulary, n_in);
}

/* Every row draws from the only group, as in the last step. */
static void make_draw(const struct device_bench *bench, struct operands *o, struct timed_op *op,
                      struct error *error)
{
    make_scan(bench, o, op, error);
    int rows = o->scan.rows;
    struct row_choice *host = calloc((size_t)rows, sizeof *host);
    o->failed |= !host;
    for (int i = 0; host && i < rows; i++)
        host[i].target = 1e-3 * (double)i;
    o->draw =
        (struct head_draw){.scan = o->scan,
                           .choice = host ? take_from(bench, o, host, (size_t)rows * sizeof *host) : NULL,
                           .drawn = take(bench, o, (size_t)rows * sizeof(struct drawn_token))};
    struct error unused;
    if (!o->failed) { /* the tiles that draw walks */
        run_scan(bench, o);
        o->failed |= bench->backend->synchronize(bench->device, &unused) != STATUS_OK;
    }
    free(host);
    op->run = run_draw;
    op->off_roof = true;
    op->flop = 2.0 * rows * VOCABULARY_TILE * bench->hidden;
    op->bytes = (double)rows * VOCABULARY_TILE * bench->hidden * (double)dtype_bytes(bench->activation);
}

enum {
    PRODUCT_QUERY,
    PRODUCT_KEY_VALUE,
    PRODUCT_OUT,
    PRODUCT_UP,
    PRODUCT_DOWN,
    NORM,
    GATED,
    ATTENTION,
    SCAN,
    DRAW,
    N_OPS
};
static const char *const names[N_OPS] = {"query",     "key_value",     "attention_out", "up + gelu",
                                         "down",      "norm_modulate", "gated_add",     "attention",
                                         "head_scan", "head_draw"};

static void make(const struct device_bench *bench, int i, struct operands *o, struct timed_op *op,
                 struct error *error)
{
    int rows = rows_of(bench), d = bench->hidden;
    enum dtype own = bench->activation;
    switch (i) {
    case PRODUCT_QUERY:
        make_product(bench, o, op, rows, d, d, ACTIVATION_NONE, own, error);
        break;
    case PRODUCT_KEY_VALUE:
        make_product(bench, o, op, rows, 2 * d, d, ACTIVATION_NONE, own, error);
        break;
    case PRODUCT_OUT:
        make_product(bench, o, op, rows, d, d, ACTIVATION_NONE, DTYPE_F32, error);
        break;
    case PRODUCT_UP:
        make_product(bench, o, op, rows, 4 * d, d, ACTIVATION_GELU_TANH, own, error);
        break;
    case PRODUCT_DOWN:
        make_product(bench, o, op, rows, d, 4 * d, ACTIVATION_NONE, DTYPE_F32, error);
        break;
    case NORM:
        make_norm(bench, o, op);
        break;
    case GATED:
        make_gated(bench, o, op);
        break;
    case ATTENTION:
        make_attention(bench, o, op);
        break;
    case SCAN:
        make_scan(bench, o, op, error);
        break;
    case DRAW:
        make_draw(bench, o, op, error);
        break;
    }
}

static enum status finish(const struct device_bench *bench, struct operands *o, struct timed_op *op,
                          struct error *error)
{
    op->operands = o;
    op->release = release;
    if (!o->failed)
        return bench->backend->synchronize(bench->device, error);
    timed_op_release(bench, op);
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "the operands of %s do not fit on the device",
                     op->name);
}

static struct operands *begin(struct timed_op *op, const char *name)
{
    *op = (struct timed_op){.name = name};
    return calloc(1, sizeof(struct operands));
}

enum status timed_op_make(const struct device_bench *bench, int i, struct timed_op *op, struct error *error)
{
    if (i >= N_OPS)
        return STATUS_NOT_FOUND;
    struct operands *o = begin(op, names[i]);
    if (!o)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    make(bench, i, o, op, error);
    return finish(bench, o, op, error);
}

void timed_op_release(const struct device_bench *bench, struct timed_op *op)
{
    if (op->release)
        op->release(bench, op->operands);
    op->release = NULL;
}

enum status ceiling_product_make(const struct device_bench *bench, int width, struct timed_op *op,
                                 struct error *error)
{
    struct operands *o = begin(op, "ceiling: product");
    if (!o)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    make_product(bench, o, op, width, width, width, ACTIVATION_NONE, bench->activation, error);
    return finish(bench, o, op, error);
}

enum status ceiling_copy_make(const struct device_bench *bench, size_t bytes, struct timed_op *op,
                              struct error *error)
{
    enum { ROW_BYTES = 4096 };
    struct operands *o = begin(op, "ceiling: copy");
    if (!o)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    o->row_bytes = ROW_BYTES;
    o->rows = (int)(bytes / ROW_BYTES);
    o->from = take(bench, o, bytes);
    o->to = take(bench, o, bytes);
    o->index = integers(bench, o, o->rows, 1, o->rows);
    op->run = run_copy;
    op->bytes = 2.0 * o->rows * ROW_BYTES;
    snprintf(op->shape, sizeof op->shape, "%zu MiB", bytes >> 20);
    return finish(bench, o, op, error);
}
