#include "worker/model/forward.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

static void *allocate(struct forward *forward, size_t size_bytes)
{
    return forward->weights->backend->allocate(forward->weights->device, size_bytes ? size_bytes : 64);
}

static bool allocate_all(struct forward *forward)
{
    const struct shard *shard = &forward->weights->shard;
    size_t rows = (size_t)forward->limits.max_rows, sequences = (size_t)forward->limits.max_sequences;
    size_t hidden = (size_t)forward->weights->config.hidden;
    size_t inner = (size_t)range_size(shard->heads) * (size_t)forward->weights->config.head_size;
    size_t mlp = (size_t)range_size(shard->hidden), activation = dtype_bytes(forward->activation);
    const struct {
        void **at;
        size_t row_bytes;
    } matrices[] = {
        {(void **)&forward->x, hidden * sizeof(float)},
        {&forward->normed, hidden * activation},
        {&forward->query, inner * activation},
        {&forward->key_value, 2 * inner * activation},
        {&forward->attended, inner * activation},
        {&forward->mlp, mlp * activation},
        {(void **)&forward->sum, hidden * sizeof(float)},
        {(void **)&forward->needed_x, hidden * sizeof(float)},
        {&forward->needed_normed, hidden * activation},
    };
    bool all = true;
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++)
        all &= (*matrices[i].at = allocate(forward, rows * matrices[i].row_bytes)) != NULL;
    all &= (forward->entry = calloc(sequences, sizeof *forward->entry)) != NULL;
    return all;
}

enum status forward_init(struct forward *forward, const struct model_weights *weights,
                         struct conditioning *conditioning, struct collective *collective,
                         struct inputs *inputs, struct error *error)
{
    *forward = (struct forward){.weights = weights,
                                .conditioning = conditioning,
                                .collective = collective,
                                .inputs = inputs,
                                .limits = inputs->limits,
                                .activation = weights->backend->activation_type(weights->device)};
    if (allocate_all(forward))
        return STATUS_OK;
    forward_release(forward);
    return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                     "no memory for the activations of %d tokens; use a smaller --batch-tokens",
                     inputs->limits.max_rows);
}

void forward_release(struct forward *forward)
{
    if (!forward->weights)
        return;
    void *const owned[] = {forward->x,         forward->normed,   forward->query,
                           forward->key_value, forward->attended, forward->mlp,
                           forward->sum,       forward->needed_x, forward->needed_normed};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        forward->weights->backend->release(forward->weights->device, owned[i]);
    free(forward->entry);
    *forward = (struct forward){0};
}

/* Adds the time since `start`; where phases are timed, when the device is done with them. */
static void stop_clock(const struct forward *forward, double start, double *total)
{
    struct error kept; /* by the device, which says it again when the step is waited for */
    if (forward->is_timed)
        (void)forward->weights->backend->synchronize(forward->weights->device, &kept);
    *total += clock_seconds() - start;
}

/* Computes the modulation vectors that are not there yet and hands the device the plan. */
static void upload_plan(struct forward *forward, const struct plan *plan, int slot)
{
    double start = clock_seconds();
    conditioning_turn(forward->conditioning);
    for (int s = 0; s < plan->header->n_sequences; s++) {
        const struct plan_sequence *sequence = &plan->sequences[s];
        forward->entry[s] = conditioning_entry(forward->conditioning, sequence);
    }
    inputs_upload(forward->inputs, plan, forward->entry, forward->weights->config.mask_token, slot);
    stop_clock(forward, start, &forward->seconds.other);
}

/* A product whose x has the activation type. */
static void product(struct forward *forward, struct matmul op)
{
    double start = clock_seconds();
    op.x_type = forward->activation;
    forward->weights->backend->matmul(forward->weights->device, &op);
    meter_add(forward->meters, METER_PROGRESS, 1);
    stop_clock(forward, start, &forward->seconds.matmul);
}

/* The rows of a pass through one block: all of them, or in the last block the needed ones. */
struct block_rows {
    int n;
    float *x;
    void *normed;
    const int32_t *condition, *position, *start;
};

/* Shows this rank's `columns` of a matrix. */
static void show_as(const struct forward *forward, enum dtype type, const char *name, int block,
                    const void *x, int rows, struct range columns)
{
    observer_show(forward->observer,
                  (struct observation){name, block, x, type, rows, range_size(columns), columns});
}

static void show(const struct forward *forward, const char *name, int block, const float *x, int rows,
                 struct range columns)
{
    show_as(forward, DTYPE_F32, name, block, x, rows, columns);
}

static void show_activation(const struct forward *forward, const char *name, int block, const void *x,
                            int rows, struct range columns)
{
    show_as(forward, forward->activation, name, block, x, rows, columns);
}

/* The values, which follow the keys in a row of key_value. */
static const void *values_of(const struct forward *forward, int inner)
{
    return (const char *)forward->key_value + (size_t)inner * dtype_bytes(forward->activation);
}

static struct range whole_row(const struct forward *forward)
{
    return (struct range){0, forward->weights->config.hidden};
}

/* This rank's columns of queries, keys and values. */
static struct range head_columns(const struct model_weights *weights)
{
    int size = weights->config.head_size;
    return (struct range){weights->shard.heads.first * size, weights->shard.heads.end * size};
}

static void show_keys_and_values(const struct forward *forward, int block, int rows)
{
    struct range columns = head_columns(forward->weights);
    int inner = range_size(columns);
    enum dtype type = forward->activation;
    observer_show(forward->observer,
                  (struct observation){"k", block, forward->key_value, type, rows, 2 * inner, columns});
    observer_show(forward->observer, (struct observation){"v", block, values_of(forward, inner), type, rows,
                                                          2 * inner, columns});
}

static void normalise(struct forward *forward, const float *x, int rows, const float *weight,
                      const int32_t *condition, int64_t shift_offset, void *y)
{
    double start = clock_seconds();
    int hidden = forward->weights->config.hidden;
    const struct norm_modulate op = {.x = x,
                                     .weight = weight,
                                     .rows = rows,
                                     .width = hidden,
                                     .modulation = forward->conditioning->table,
                                     .ld_modulation = forward->conditioning->width,
                                     .shift_offset = shift_offset,
                                     .scale_offset = shift_offset + hidden,
                                     .condition_of_row = condition,
                                     .y = y};
    forward->weights->backend->norm_modulate(forward->weights->device, &op);
    stop_clock(forward, start, &forward->seconds.other);
}

/* Adds up all ranks' forward->sum. */
static void reduce_sum(struct forward *forward, const char *name, int block, const struct block_rows *rows)
{
    int hidden = forward->weights->config.hidden;
    forward->collective->table->all_reduce(forward->collective, forward->sum, (int64_t)rows->n * hidden);
    show(forward, name, block, forward->sum, rows->n, whole_row(forward));
}

/* x += gate ⊙ (sum + bias) */
static void add_gated(struct forward *forward, const struct block_rows *rows, const float *bias,
                      int64_t gate_offset)
{
    int hidden = forward->weights->config.hidden;
    double start = clock_seconds();
    const struct gated_add op = {.x = rows->x,
                                 .y = forward->sum,
                                 .bias = bias,
                                 .rows = rows->n,
                                 .width = hidden,
                                 .modulation = forward->conditioning->table,
                                 .ld_modulation = forward->conditioning->width,
                                 .gate_offset = gate_offset,
                                 .condition_of_row = rows->condition};
    forward->weights->backend->gated_add(forward->weights->device, &op);
    stop_clock(forward, start, &forward->seconds.other);
}

static int longest_sequence(const struct plan *plan)
{
    int longest = 0;
    for (int s = 0; s < plan->header->n_sequences; s++) {
        int length = plan->sequences[s].end_row - plan->sequences[s].first_row;
        longest = length > longest ? length : longest;
    }
    return longest;
}

/* Queries of `rows` against the keys and values of every row. */
static void attend(struct forward *forward, const struct plan *plan, const struct block_rows *rows)
{
    double start = clock_seconds();
    const struct model_weights *weights = forward->weights;
    int n_heads = range_size(weights->shard.heads), inner = n_heads * weights->config.head_size;
    const struct attention op = {.q = forward->query,
                                 .k = forward->key_value,
                                 .v = values_of(forward, inner),
                                 .ld_q = inner,
                                 .ld_kv = 2 * inner,
                                 .ld_o = inner,
                                 .n_heads = n_heads,
                                 .head_size = weights->config.head_size,
                                 .rotary = weights->rotary,
                                 .n_sequences = plan->header->n_sequences,
                                 .n_queries = rows->n,
                                 .longest = longest_sequence(plan),
                                 .block_size = weights->config.block_size,
                                 .key_start = forward->inputs->rows.row_start,
                                 .query_start = rows->start,
                                 .query_position = rows->position,
                                 .o = forward->attended};
    weights->backend->attention(weights->device, &op);
    meter_add(forward->meters, METER_PROGRESS, 1);
    stop_clock(forward, start, &forward->seconds.attention);
}

static void attention_half(struct forward *forward, const struct plan *plan, int index,
                           const struct block_rows *rows)
{
    const struct model_weights *weights = forward->weights;
    const struct block_weights *block = &weights->blocks[index];
    int hidden = weights->config.hidden, inner = range_size(weights->shard.heads) * weights->config.head_size;
    int64_t offset = conditioning_block_offset(forward->conditioning, index);
    product(forward, (struct matmul){.x = rows->normed,
                                     .ld_x = hidden,
                                     .rows = rows->n,
                                     .weight = block->query,
                                     .y = forward->query,
                                     .y_type = forward->activation,
                                     .ld_y = inner});
    show_activation(forward, "q", index, forward->query, rows->n, head_columns(weights));
    attend(forward, plan, rows);
    show_activation(forward, "attn", index, forward->attended, rows->n, head_columns(weights));
    product(forward, (struct matmul){.x = forward->attended,
                                     .ld_x = inner,
                                     .rows = rows->n,
                                     .weight = block->attention_out,
                                     .y = forward->sum,
                                     .y_type = DTYPE_F32,
                                     .ld_y = hidden});
    reduce_sum(forward, "attn_out", index, rows);
    add_gated(forward, rows, NULL, offset + 2 * hidden);
}

static void mlp_half(struct forward *forward, int index, const struct block_rows *rows)
{
    const struct model_weights *weights = forward->weights;
    const struct block_weights *block = &weights->blocks[index];
    int hidden = weights->config.hidden, mlp = range_size(weights->shard.hidden);
    int64_t offset = conditioning_block_offset(forward->conditioning, index);
    normalise(forward, rows->x, rows->n, block->norm2, rows->condition, offset + 3 * hidden, rows->normed);
    show_activation(forward, "mod2", index, rows->normed, rows->n, whole_row(forward));
    product(forward, (struct matmul){.x = rows->normed,
                                     .ld_x = hidden,
                                     .rows = rows->n,
                                     .weight = block->up,
                                     .bias = block->up_bias,
                                     .activation = ACTIVATION_GELU_TANH,
                                     .y = forward->mlp,
                                     .y_type = forward->activation,
                                     .ld_y = mlp});
    show_activation(forward, "gelu", index, forward->mlp, rows->n, weights->shard.hidden);
    product(forward, (struct matmul){.x = forward->mlp,
                                     .ld_x = mlp,
                                     .rows = rows->n,
                                     .weight = block->down,
                                     .y = forward->sum,
                                     .y_type = DTYPE_F32,
                                     .ld_y = hidden});
    reduce_sum(forward, "mlp", index, rows); /* its bias is still to come */
    add_gated(forward, rows, block->down_bias, offset + 5 * hidden);
    show(forward, "out", index, rows->x, rows->n, whole_row(forward));
}

/* Copies the needed rows together; only they go on. */
static void keep_needed(struct forward *forward, const struct plan *plan)
{
    double start = clock_seconds();
    const struct model_weights *weights = forward->weights;
    size_t hidden = (size_t)weights->config.hidden;
    int n = plan->header->n_needed;
    weights->backend->gather_rows(weights->device, forward->x, hidden * sizeof(float),
                                  forward->inputs->rows.needed, n, forward->needed_x);
    weights->backend->gather_rows(weights->device, forward->normed, hidden * dtype_bytes(forward->activation),
                                  forward->inputs->rows.needed, n, forward->needed_normed);
    stop_clock(forward, start, &forward->seconds.other);
}

static void embed(struct forward *forward, const struct plan *plan)
{
    double start = clock_seconds();
    const struct model_weights *weights = forward->weights;
    int hidden = weights->config.hidden;
    weights->backend->embed(weights->device, weights->embedding, weights->shard.columns.first,
                            range_size(weights->shard.columns), hidden, forward->inputs->ids_now,
                            plan->header->n_rows, forward->x);
    stop_clock(forward, start, &forward->seconds.other);
    forward->collective->table->all_reduce(forward->collective, forward->x,
                                           (int64_t)plan->header->n_rows * hidden);
    show(forward, "embed", -1, forward->x, plan->header->n_rows, whole_row(forward));
}

/* Computes a block's keys and values for every row: norm, then product. */
static void keys_and_values(struct forward *forward, int index, const struct block_rows *all)
{
    const struct model_weights *weights = forward->weights;
    int inner = range_size(weights->shard.heads) * weights->config.head_size, hidden = weights->config.hidden;
    normalise(forward, all->x, all->n, weights->blocks[index].norm1, all->condition,
              conditioning_block_offset(forward->conditioning, index), all->normed);
    show_activation(forward, "mod1", index, all->normed, all->n, whole_row(forward));
    product(forward, (struct matmul){.x = all->normed,
                                     .ld_x = hidden,
                                     .rows = all->n,
                                     .weight = weights->blocks[index].key_value,
                                     .y = forward->key_value,
                                     .y_type = forward->activation,
                                     .ld_y = 2 * inner});
    show_keys_and_values(forward, index, all->n);
}

/* Whether a segment is the device's own work alone: no observer looks at it, no clock waits in it, and no sum
 * over ranks leaves the device. */
static bool may_record(const struct forward *forward)
{
    return !forward->observer && !forward->is_timed && forward->collective->table->on_device;
}

/* All blocks for all rows, up to the keys and values of the last block. */
static void run_all_rows(struct forward *forward, const struct plan *plan, const struct block_rows *all)
{
    const struct backend *backend = forward->weights->backend;
    int n_blocks = forward->weights->config.n_blocks;
    struct segment_key key;
    memset(&key, 0, sizeof key);
    key.n_rows = plan->header->n_rows;
    key.n_sequences = plan->header->n_sequences;
    key.longest = longest_sequence(plan);
    bool record = may_record(forward);
    if (record && !backend->segment_begin(forward->weights->device, &key))
        return;
    for (int i = 0; i < n_blocks; i++) {
        keys_and_values(forward, i, all);
        if (i == n_blocks - 1)
            break;
        attention_half(forward, plan, i, all);
        mlp_half(forward, i, all);
    }
    if (record)
        backend->segment_end(forward->weights->device);
}

/* How many multiplications and additions a pass takes on this rank. They are counted from the plan, because a
 * stretch that is played makes no calls. */
static double flop_of(const struct forward *forward, const struct plan *plan)
{
    const struct model_config *config = &forward->weights->config;
    double n = plan->header->n_rows, needed = plan->header->n_needed, hidden = config->hidden;
    double inner = range_size(forward->weights->shard.heads) * (double)config->head_size;
    double mlp = range_size(forward->weights->shard.hidden), keys = 0, pairs = 0, last_pairs = 0;
    for (int s = 0; s < plan->header->n_sequences; s++) {
        const struct plan_sequence *sequence = &plan->sequences[s];
        keys = sequence->end_row - sequence->first_row;
        pairs += keys * keys;
        last_pairs += keys * (sequence->end_needed - sequence->first_needed);
    }
    double a_row = 4 * hidden * inner + 4 * hidden * mlp; /* q, attention-out, up and down */
    return config->n_blocks * n * 4 * hidden * inner + ((config->n_blocks - 1) * n + needed) * a_row +
           4 * inner * ((config->n_blocks - 1) * pairs + last_pairs);
}

const void *forward_run(struct forward *forward, const struct plan *plan, int slot)
{
    upload_plan(forward, plan, slot);
    const struct input_rows *inputs = &forward->inputs->rows;
    int last = forward->weights->config.n_blocks - 1;
    const struct block_rows all = {plan->header->n_rows,    forward->x,
                                   forward->normed,         inputs->condition_of_row,
                                   inputs->position_of_row, inputs->row_start};
    const struct block_rows needed = {plan->header->n_needed,     forward->needed_x,
                                      forward->needed_normed,     inputs->condition_of_needed,
                                      inputs->position_of_needed, inputs->needed_start};
    embed(forward, plan);
    run_all_rows(forward, plan, &all);
    keep_needed(forward, plan);
    attention_half(forward, plan, last, &needed);
    mlp_half(forward, last, &needed);
    normalise(forward, forward->needed_x, needed.n, forward->weights->norm_final, needed.condition,
              conditioning_output_offset(forward->conditioning), forward->needed_normed);
    show_activation(forward, "final_mod", -1, forward->needed_normed, needed.n, whole_row(forward));
    forward->flop += flop_of(forward, plan);
    return forward->needed_normed;
}
