#include "worker/model/weights.h"

#include <math.h>
#include <stdlib.h>

#include "common/model/layout.h"

/*
 * Loading goes through a struct loader that keeps the first failure: after it every call does
 * nothing, so that the list of tensors below reads as a list. What was read of a file is let go at once, so
 * that a rank holds no weight twice.
 */
struct loader {
    struct model_weights *weights;
    const struct tensors *tensors;
    struct meters *meters;
    enum status status;
    struct error *error;
};

/* A tensor of the model by what it is for: its role, and of which block it is. */
struct slot {
    enum tensor_role role;
    int block; /* -1: of none */
};

/* NULL: the model has no tensor in this slot, or it is missing from the files, which is a failure. */
static const struct tensor *find(struct loader *loader, struct slot slot)
{
    struct model_tensor wanted;
    if (!model_layout_find(&loader->weights->config, slot.role, slot.block, &wanted))
        return NULL;
    const struct tensor *tensor = tensors_find(loader->tensors, wanted.name);
    if (!tensor && loader->status == STATUS_OK)
        loader->status = error_set(loader->error, STATUS_DATA_LOSS, "tensor %s is missing", wanted.name);
    return loader->status == STATUS_OK ? tensor : NULL;
}

static void out_of_memory(struct loader *loader, const char *name)
{
    if (loader->status == STATUS_OK)
        loader->status =
            error_set(loader->error, STATUS_RESOURCE_EXHAUSTED,
                      "not enough memory for tensor %s; use more ranks or a smaller model", name);
}

/* Rows [rows.first, rows.end) and columns [columns.first, columns.end) of a tensor; a vector is one column.
 */
static struct matrix_view view_of(const struct tensor *tensor, struct range rows, struct range columns)
{
    int64_t width = tensor->n_dimensions > 1 ? tensor->shape[1] : 1;
    size_t skipped = (size_t)(rows.first * width + columns.first) * dtype_bytes(tensor->dtype);
    struct matrix_view view = {
        .data = (const char *)tensor->data + skipped,
        .dtype = tensor->dtype,
        .rows = range_size(rows),
        .columns = range_size(columns),
        .row_stride = width,
        .first_column = columns.first,
    };
    return view;
}

static struct range whole(int64_t n)
{
    struct range range = {0, (int)n};
    return range;
}

/* A weight that is no finite number makes every text one. False: there is one, and the failure names it. */
static bool are_finite(struct loader *loader, const float *x, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) {
            if (loader->status == STATUS_OK)
                loader->status = error_set(loader->error, STATUS_INVALID_ARGUMENT,
                                           "tensor \"%s\" has a value that is no finite number", name);
            return false;
        }
    return true;
}

/* Every number of a part of a tensor, where the model is a stranger's (and not in memory.c, which only
 * counts). */
static void check_view(struct loader *loader, const struct matrix_view *view, const char *name)
{
    if (!loader->weights->backend->upload || !model_has_laws(&loader->weights->config))
        return;
    enum { AT_ONCE = 4096 };
    float converted[AT_ONCE];
    const size_t size = dtype_bytes(view->dtype);
    for (int64_t row = 0; row < view->rows; row++) {
        const char *from = (const char *)view->data + (size_t)(row * view->row_stride) * size;
        for (int64_t done = 0; done < view->columns; done += AT_ONCE) {
            size_t n = view->columns - done < AT_ONCE ? (size_t)(view->columns - done) : AT_ONCE;
            dtype_to_float(view->dtype, from + (size_t)done * size, n, converted);
            if (!are_finite(loader, converted, n, name))
                return;
        }
    }
}

/* Converts elements on their way to the device, some at a time. `type`: F32 or BF16. */
static void upload_as(struct loader *loader, enum dtype type, const struct tensor *tensor, size_t first,
                      size_t n, char *on_device)
{
    enum { AT_ONCE = 4096 };
    float floats[AT_ONCE];
    uint16_t words[AT_ONCE];
    const struct backend *backend = loader->weights->backend;
    for (size_t done = 0; done < n;) {
        size_t now = n - done < AT_ONCE ? n - done : AT_ONCE;
        const char *from = (const char *)tensor->data + (first + done) * dtype_bytes(tensor->dtype);
        if (type == DTYPE_F32)
            dtype_to_float(tensor->dtype, from, now, floats);
        else
            dtype_to_bf16(tensor->dtype, from, now, words);
        backend->upload(loader->weights->device, on_device + done * dtype_bytes(type),
                        type == DTYPE_F32 ? (const void *)floats : words, now * dtype_bytes(type));
        done += now;
        meter_add(loader->meters, METER_PROGRESS, 1);
    }
}

/* Brings the rows [part.first, part.end) of the slot's tensor to the device as `type`. An empty part gets one
 * unused row. NULL where the model has no such tensor. */
static void *load_rows_as(struct loader *loader, enum dtype type, struct range part, struct slot slot)
{
    const struct tensor *tensor = find(loader, slot);
    if (!tensor)
        return NULL;
    const struct backend *backend = loader->weights->backend;
    size_t width = tensor->n_dimensions > 1 ? (size_t)tensor->shape[1] : 1;
    size_t n = (size_t)range_size(part) * width;
    char *on_device = backend->allocate(loader->weights->device, (n ? n : width) * dtype_bytes(type));
    if (!on_device) {
        out_of_memory(loader, tensor->name);
        return NULL;
    }
    loader->weights->size_bytes += n * dtype_bytes(type);
    const struct matrix_view view = view_of(tensor, part, whole((int64_t)width));
    check_view(loader, &view, tensor->name);
    if (backend->upload) { /* else memory.c only counts */
        upload_as(loader, type, tensor, (size_t)part.first * width, n, on_device);
        tensors_let_go(loader->tensors, tensor->data, tensor->size_bytes);
    }
    return on_device;
}

static float *load_rows(struct loader *loader, struct range part, struct slot slot)
{
    return load_rows_as(loader, DTYPE_F32, part, slot);
}

static float *load_vector(struct loader *loader, struct slot slot)
{
    const struct tensor *tensor = find(loader, slot);
    return tensor ? load_rows(loader, whole(tensor->shape[0]), slot) : NULL;
}

static struct weight *create(struct loader *loader, enum weight_use use, const struct matrix_view *parts,
                             int n_parts, const int32_t *leaves, int n_leaves, const char *name)
{
    struct weight *weight = NULL;
    if (loader->status != STATUS_OK)
        return NULL;
    const struct backend *backend = loader->weights->backend;
    for (int i = 0; i < n_parts; i++)
        check_view(loader, &parts[i], name);
    if (loader->status != STATUS_OK)
        return NULL;
    enum status status = backend->weight_create(loader->weights->device, use, parts, n_parts, leaves,
                                                n_leaves, &weight, loader->error);
    if (status != STATUS_OK) {
        error_prefix(loader->error, "tensor %s", name);
        loader->status = status;
        return NULL;
    }
    int n_out = 0;
    for (int i = 0; i < n_parts; i++) {
        n_out += (int)parts[i].rows;
        tensors_let_go(loader->tensors, parts[i].data,
                       (size_t)(parts[i].rows * parts[i].row_stride) * dtype_bytes(parts[i].dtype));
    }
    loader->weights->size_bytes +=
        backend->weight_bytes(loader->weights->device, use, n_out, (int)parts[0].columns, leaves, n_leaves);
    meter_add(loader->meters, METER_PROGRESS, 1);
    return weight;
}

/* Loads the outputs `part` of the slot's tensor, with all inputs. NULL where the model has none. */
static struct weight *load_by_output(struct loader *loader, enum weight_use use, struct range part,
                                     struct slot slot)
{
    const struct tensor *tensor = find(loader, slot);
    if (!tensor)
        return NULL;
    struct matrix_view view = view_of(tensor, part, whole(tensor->shape[1]));
    return create(loader, use, &view, 1, NULL, 1, tensor->name);
}

static struct weight *load_conditioning(struct loader *loader, struct slot slot)
{
    const struct tensor *tensor = find(loader, slot);
    return tensor ? load_by_output(loader, WEIGHT_CONDITIONING, whole(tensor->shape[0]), slot) : NULL;
}

/* Loads the inputs `part`, with all outputs. The sum is cut into leaves. */
static struct weight *load_by_input(struct loader *loader, struct range part, const int32_t *leaves,
                                    struct slot slot)
{
    const struct tensor *tensor = find(loader, slot);
    if (!tensor)
        return NULL;
    struct matrix_view view = view_of(tensor, whole(tensor->shape[0]), part);
    return create(loader, WEIGHT_PRODUCT, &view, 1, leaves, loader->weights->shard.n_leaves, tensor->name);
}

/* Where the rows of queries, keys and values lie: in a tensor of their own, or stacked in one. */
static bool projection(struct loader *loader, int index, int part, struct range inner,
                       struct matrix_view *view, const char **name)
{
    static const enum tensor_role alone[] = {ROLE_QUERY, ROLE_KEY, ROLE_VALUE};
    const struct tensor *tensor = find(loader, (struct slot){ROLE_QUERY_KEY_VALUE, index});
    if (tensor) {
        int before = part * (int)(tensor->shape[0] / 3);
        inner = (struct range){inner.first + before, inner.end + before};
    } else {
        tensor = find(loader, (struct slot){alone[part], index});
    }
    if (!tensor)
        return false;
    *view = view_of(tensor, inner, whole(tensor->shape[1]));
    *name = tensor->name;
    return true;
}

static void load_projections(struct loader *loader, struct range inner, int index)
{
    struct block_weights *block = &loader->weights->blocks[index];
    struct matrix_view parts[3];
    const char *names[3];
    for (int i = 0; i < 3; i++)
        if (!projection(loader, index, i, inner, &parts[i], &names[i]))
            return;
    block->query = create(loader, WEIGHT_PRODUCT, parts, 1, NULL, 1, names[0]);
    block->key_value = create(loader, WEIGHT_PRODUCT, parts + 1, 2, NULL, 1, names[1]);
}

static void load_block(struct loader *loader, int index)
{
    struct model_weights *weights = loader->weights;
    struct block_weights *block = &weights->blocks[index];
    const struct shard *shard = &weights->shard;
    int head_size = weights->config.head_size;
    struct range inner = {shard->heads.first * head_size, shard->heads.end * head_size};
#define OF(role) ((struct slot){role, index})
    block->norm1 = load_vector(loader, OF(ROLE_NORM1));
    block->norm2 = load_vector(loader, OF(ROLE_NORM2));
    load_projections(loader, inner, index);
    block->attention_out = load_by_input(loader, inner, shard->attention_leaf, OF(ROLE_ATTENTION_OUT));
    block->up = load_by_output(loader, WEIGHT_PRODUCT, shard->hidden, OF(ROLE_UP));
    block->up_bias = load_rows(loader, shard->hidden, OF(ROLE_UP_BIAS));
    block->down = load_by_input(loader, shard->hidden, shard->hidden_leaf, OF(ROLE_DOWN));
    block->down_bias = load_vector(loader, OF(ROLE_DOWN_BIAS));
    block->modulation = load_conditioning(loader, OF(ROLE_MODULATION));
    block->modulation_bias = load_vector(loader, OF(ROLE_MODULATION_BIAS));
    block->condition_fuser = load_conditioning(loader, OF(ROLE_BLOCK_CONDITION));
    block->condition_fuser_bias = load_vector(loader, OF(ROLE_BLOCK_CONDITION_BIAS));
#undef OF
}

/* The slot of a tensor that belongs to no block. */
static struct slot single(enum tensor_role role)
{
    return (struct slot){role, -1};
}

static void load_time_mlps(struct loader *loader)
{
    struct time_mlp *time = &loader->weights->time, *step_size = &loader->weights->step_size;
    time->first = load_conditioning(loader, single(ROLE_TIME_IN));
    time->first_bias = load_vector(loader, single(ROLE_TIME_IN_BIAS));
    time->second = load_conditioning(loader, single(ROLE_TIME_OUT));
    time->second_bias = load_vector(loader, single(ROLE_TIME_OUT_BIAS));
    step_size->first = load_conditioning(loader, single(ROLE_STEP_IN));
    step_size->first_bias = load_vector(loader, single(ROLE_STEP_IN_BIAS));
    step_size->second = load_conditioning(loader, single(ROLE_STEP_OUT));
    step_size->second_bias = load_vector(loader, single(ROLE_STEP_OUT_BIAS));
}

static float silu(float x)
{
    return (float)(x / (1 + exp(-(double)x)));
}

/* Each class adds SiLU of its row to what the network is told of the time. */
static void load_classes(struct loader *loader)
{
    const struct backend *backend = loader->weights->backend;
    const struct tensor *tensor = find(loader, single(ROLE_CLASSES));
    if (!tensor)
        return;
    const size_t n = (size_t)(tensor->shape[0] * tensor->shape[1]);
    float *table = malloc(n * sizeof *table),
          *on_device = backend->allocate(loader->weights->device, n * sizeof *table);
    if (!table || !on_device) {
        out_of_memory(loader, tensor->name);
    } else if (backend->upload) {
        dtype_to_float(tensor->dtype, tensor->data, n, table);
        for (size_t i = 0; i < n; i++)
            table[i] = silu(table[i]);
        backend->upload(loader->weights->device, on_device, table, n * sizeof *table);
    }
    loader->weights->size_bytes += n * sizeof *table;
    loader->weights->classes = on_device;
    free(table);
}

static void load_conditions(struct loader *loader)
{
    struct model_weights *weights = loader->weights;
    load_time_mlps(loader);
    load_classes(loader);
    weights->condition = load_conditioning(loader, single(ROLE_CONDITION));
    weights->condition_bias = load_vector(loader, single(ROLE_CONDITION_BIAS));
    weights->out_condition_fuser = load_conditioning(loader, single(ROLE_OUT_CONDITION));
    weights->out_condition_fuser_bias = load_vector(loader, single(ROLE_OUT_CONDITION_BIAS));
    weights->out_modulation = load_conditioning(loader, single(ROLE_OUT_MODULATION));
    weights->out_modulation_bias = load_vector(loader, single(ROLE_OUT_MODULATION_BIAS));
}

/* inv_freq as the file has it, else 10000^(-2j/head_size) in float32. */
static void inverse_frequencies(struct loader *loader, float *inverse)
{
    int half = loader->weights->config.head_size / 2;
    struct model_tensor buffer;
    const struct tensor *stored = model_layout_find(&loader->weights->config, ROLE_ROTARY, -1, &buffer)
                                      ? tensors_find(loader->tensors, buffer.name)
                                      : NULL;
    if (stored) {
        dtype_to_float(stored->dtype, stored->data, (size_t)half, inverse);
        return;
    }
    for (int j = 0; j < half; j++)
        inverse[j] = 1.0f / powf(10000.0f, (float)(2 * j) / (float)(2 * half));
}

static void make_rotary(struct loader *loader)
{
    struct model_weights *weights = loader->weights;
    int half = weights->config.head_size / 2, n_positions = weights->config.max_length;
    size_t size = (size_t)n_positions * 2 * (size_t)half * sizeof(float);
    if (!weights->backend->upload) { /* memory.c */
        weights->rotary = weights->backend->allocate(weights->device, size);
        return;
    }
    float *table = malloc(size), *inverse = malloc((size_t)half * sizeof *inverse);
    weights->rotary = weights->backend->allocate(weights->device, size);
    if (!table || !inverse || !weights->rotary) {
        out_of_memory(loader, "rotary_emb");
    } else {
        inverse_frequencies(loader, inverse);
        for (int position = 0; position < n_positions; position++) {
            float *row = table + (size_t)position * 2 * (size_t)half;
            for (int j = 0; j < half; j++) {
                float angle = (float)position * inverse[j]; /* float32, as the reference rounds it */
                row[j] = (float)cos((double)angle);
                row[half + j] = (float)sin((double)angle);
            }
        }
        weights->backend->upload(weights->device, weights->rotary, table, size);
    }
    free(table);
    free(inverse);
}

enum status model_weights_load(struct model_weights *weights, const struct backend *backend,
                               struct device *device, const struct tensors *tensors,
                               const struct model_config *config, const struct shard *shard,
                               struct meters *meters, struct error *error)
{
    *weights =
        (struct model_weights){.backend = backend, .device = device, .config = *config, .shard = *shard};
    struct loader loader = {.weights = weights, .tensors = tensors, .meters = meters, .error = error};
    weights->blocks = calloc((size_t)config->n_blocks, sizeof *weights->blocks);
    if (!weights->blocks)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "not enough memory for %d blocks",
                         config->n_blocks);
    weights->embedding =
        load_rows_as(&loader, backend->table_type(device), shard->columns, single(ROLE_EMBEDDING));
    make_rotary(&loader);
    load_conditions(&loader);
    for (int i = 0; i < config->n_blocks && loader.status == STATUS_OK; i++)
        load_block(&loader, i);
    weights->norm_final = load_vector(&loader, single(ROLE_FINAL_NORM));
    weights->head = load_by_output(&loader, WEIGHT_HEAD, shard->columns, single(ROLE_HEAD));
    weights->head_bias = load_rows(&loader, shard->columns, single(ROLE_HEAD_BIAS));
    if (loader.status == STATUS_OK)
        loader.status = backend->synchronize(device, error);
    if (loader.status != STATUS_OK)
        model_weights_release(weights);
    return loader.status;
}

bool model_has_laws(const struct model_config *config)
{
    return network_of(config->architecture)->output != OUTPUT_FLOW;
}

int model_widest_row(const struct model_config *config)
{
    int of_blocks = 4 * config->hidden, of_conditions = 2 * config->condition, least = SINUSOID_WIDTH;
    int widest = of_blocks > of_conditions ? of_blocks : of_conditions;
    return widest > least ? widest : least;
}

static void free_matrices(struct model_weights *weights, struct weight *const *matrices, int n)
{
    for (int i = 0; i < n; i++)
        if (matrices[i])
            weights->backend->weight_free(weights->device, matrices[i]);
}

static void free_vectors(struct model_weights *weights, float *const *vectors, int n)
{
    for (int i = 0; i < n; i++)
        if (vectors[i])
            weights->backend->release(weights->device, vectors[i]);
}

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static void free_block(struct model_weights *weights, const struct block_weights *block)
{
    struct weight *const matrices[] = {block->query, block->key_value,  block->attention_out,  block->up,
                                       block->down,  block->modulation, block->condition_fuser};
    float *const vectors[] = {block->norm1,     block->norm2,           block->up_bias,
                              block->down_bias, block->modulation_bias, block->condition_fuser_bias};
    free_matrices(weights, matrices, COUNT(matrices));
    free_vectors(weights, vectors, COUNT(vectors));
}

static void free_time_mlp(struct model_weights *weights, const struct time_mlp *mlp)
{
    struct weight *const matrices[] = {mlp->first, mlp->second};
    float *const vectors[] = {mlp->first_bias, mlp->second_bias};
    free_matrices(weights, matrices, COUNT(matrices));
    free_vectors(weights, vectors, COUNT(vectors));
}

void model_weights_release(struct model_weights *weights)
{
    if (!weights->backend)
        return;
    struct weight *const matrices[] = {weights->condition, weights->out_condition_fuser,
                                       weights->out_modulation, weights->head};
    float *const vectors[] = {weights->classes,
                              weights->embedding,
                              weights->rotary,
                              weights->condition_bias,
                              weights->norm_final,
                              weights->head_bias,
                              weights->out_condition_fuser_bias,
                              weights->out_modulation_bias};
    free_matrices(weights, matrices, COUNT(matrices));
    free_vectors(weights, vectors, COUNT(vectors));
    free_time_mlp(weights, &weights->time);
    free_time_mlp(weights, &weights->step_size);
    for (int i = 0; weights->blocks && i < weights->config.n_blocks; i++)
        free_block(weights, &weights->blocks[i]);
    free(weights->blocks);
    *weights = (struct model_weights){0};
}
