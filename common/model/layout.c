#include "common/model/layout.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* The dimensions by their symbols: V rows of the embedding, D the hidden width, C the width of the
 * conditioning. */
enum extent { NONE, V, D, D2, D4, D6, C, C2, SINUSOID, HALF_HEAD };

struct row {
    const char *name; /* within its block */
    enum extent rows, columns;
    enum tensor_use use;
    enum tensor_sharding sharding;
    bool student_only;
};

static const struct row before_blocks[] = {
    {"vocab_embed.weight", V, D, TENSOR_EMBEDDING, SHARDED_VOCABULARY, false},
    {"time_embedding.mlp.0.weight", C, SINUSOID, TENSOR_LINEAR, SHARDED_NOT, false},
    {"time_embedding.mlp.0.bias", C, NONE, TENSOR_BIAS, SHARDED_NOT, false},
    {"time_embedding.mlp.2.weight", C, C, TENSOR_LINEAR, SHARDED_NOT, false},
    {"time_embedding.mlp.2.bias", C, NONE, TENSOR_BIAS, SHARDED_NOT, false},
    {"dt_embedding.mlp.0.weight", C, SINUSOID, TENSOR_LINEAR, SHARDED_NOT, true},
    {"dt_embedding.mlp.0.bias", C, NONE, TENSOR_BIAS, SHARDED_NOT, true},
    {"dt_embedding.mlp.2.weight", C, C, TENSOR_LINEAR, SHARDED_NOT, true},
    {"dt_embedding.mlp.2.bias", C, NONE, TENSOR_BIAS, SHARDED_NOT, true},
    {"time_condition_fuser.weight", C2, C2, TENSOR_LINEAR, SHARDED_NOT, true},
    {"time_condition_fuser.bias", C2, NONE, TENSOR_BIAS, SHARDED_NOT, true},
    {"rotary_emb.inv_freq", HALF_HEAD, NONE, TENSOR_ROTARY, SHARDED_NOT, false},
};

static const struct row block[] = {
    {"norm1.weight", D, NONE, TENSOR_NORM, SHARDED_NOT, false},
    {"qw.weight", D, D, TENSOR_LINEAR, SHARDED_OUTPUT, false},
    {"kw.weight", D, D, TENSOR_LINEAR, SHARDED_OUTPUT, false},
    {"vw.weight", D, D, TENSOR_LINEAR, SHARDED_OUTPUT, false},
    {"attn_out.weight", D, D, TENSOR_LINEAR, SHARDED_INPUT, false},
    {"norm2.weight", D, NONE, TENSOR_NORM, SHARDED_NOT, false},
    {"mlp.0.weight", D4, D, TENSOR_LINEAR, SHARDED_OUTPUT, false},
    {"mlp.0.bias", D4, NONE, TENSOR_BIAS, SHARDED_OUTPUT, false},
    {"mlp.2.weight", D, D4, TENSOR_LINEAR, SHARDED_INPUT, false},
    {"mlp.2.bias", D, NONE, TENSOR_BIAS, SHARDED_NOT, false},
    {"condition_fuser.weight", C, C2, TENSOR_LINEAR, SHARDED_NOT, true},
    {"condition_fuser.bias", C, NONE, TENSOR_BIAS, SHARDED_NOT, true},
    {"adaLN_modulation.weight", D6, C, TENSOR_ADALN, SHARDED_NOT, false},
    {"adaLN_modulation.bias", D6, NONE, TENSOR_BIAS, SHARDED_NOT, false},
};

static const struct row after_blocks[] = {
    {"output_layer.norm_final.weight", D, NONE, TENSOR_NORM, SHARDED_NOT, false},
    {"output_layer.linear.weight", V, D, TENSOR_LINEAR, SHARDED_VOCABULARY, false},
    {"output_layer.linear.bias", V, NONE, TENSOR_BIAS, SHARDED_VOCABULARY, false},
    {"output_layer.condition_fuser.weight", C, C2, TENSOR_LINEAR, SHARDED_NOT, true},
    {"output_layer.condition_fuser.bias", C, NONE, TENSOR_BIAS, SHARDED_NOT, true},
    {"output_layer.adaLN_modulation.weight", D2, C, TENSOR_ADALN, SHARDED_NOT, false},
    {"output_layer.adaLN_modulation.bias", D2, NONE, TENSOR_BIAS, SHARDED_NOT, false},
};

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))

static int64_t extent_of(const struct model_config *config, enum extent extent)
{
    switch (extent) {
    case V:
        return config->n_ids;
    case D:
        return config->hidden;
    case D2:
        return 2 * (int64_t)config->hidden;
    case D4:
        return 4 * (int64_t)config->hidden;
    case D6:
        return 6 * (int64_t)config->hidden;
    case C:
        return config->condition;
    case C2:
        return 2 * (int64_t)config->condition;
    case SINUSOID:
        return SINUSOID_WIDTH;
    case HALF_HEAD:
        return config->head_size / 2;
    case NONE:
        break;
    }
    return 1;
}

static int count_rows(const struct row *rows, int n_rows, enum architecture architecture)
{
    int n = 0;
    for (int i = 0; i < n_rows; i++)
        n += architecture == ARCHITECTURE_FS_DFM || !rows[i].student_only;
    return n;
}

/* The index-th row that this architecture has. */
static const struct row *row_at(const struct row *rows, int index, enum architecture architecture)
{
    for (;; rows++)
        if ((architecture == ARCHITECTURE_FS_DFM || !rows->student_only) && index-- == 0)
            return rows;
}

int model_layout_count(const struct model_config *config)
{
    return count_rows(before_blocks, LENGTH(before_blocks), config->architecture) +
           config->n_blocks * count_rows(block, LENGTH(block), config->architecture) +
           count_rows(after_blocks, LENGTH(after_blocks), config->architecture);
}

static void fill(const struct model_config *config, const struct row *row, struct model_tensor *tensor)
{
    tensor->n_dimensions = row->columns == NONE ? 1 : 2;
    tensor->shape[0] = extent_of(config, row->rows);
    tensor->shape[1] = extent_of(config, row->columns);
    tensor->use = row->use;
    tensor->sharding = row->sharding;
    tensor->student_only = row->student_only;
}

void model_layout_at(const struct model_config *config, int index, struct model_tensor *tensor)
{
    assert(index >= 0 && index < model_layout_count(config));
    const enum architecture architecture = config->architecture;
    const int n_before = count_rows(before_blocks, LENGTH(before_blocks), architecture);
    const int n_block = count_rows(block, LENGTH(block), architecture);
    const struct row *row;
    int block_index = -1;
    if (index < n_before) {
        row = row_at(before_blocks, index, architecture);
    } else if (index < n_before + config->n_blocks * n_block) {
        block_index = (index - n_before) / n_block;
        row = row_at(block, (index - n_before) % n_block, architecture);
    } else {
        row = row_at(after_blocks, index - n_before - config->n_blocks * n_block, architecture);
    }
    if (block_index < 0)
        snprintf(tensor->name, sizeof tensor->name, "%s", row->name);
    else
        snprintf(tensor->name, sizeof tensor->name, "blocks.%d.%s", block_index, row->name);
    fill(config, row, tensor);
}

bool model_layout_has(const struct model_config *config, const char *name)
{
    for (int i = 0; i < model_layout_count(config); i++) {
        struct model_tensor tensor;
        model_layout_at(config, i, &tensor);
        if (strcmp(tensor.name, name) == 0)
            return true;
    }
    return false;
}

const char *shape_text(const int64_t *shape, int n_dimensions, char *text, size_t room)
{
    size_t used = (size_t)snprintf(text, room, "[");
    for (int i = 0; i < n_dimensions && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (used < room)
        snprintf(text + used, room - used, "]");
    return text;
}

int64_t model_tensor_elements(const struct model_tensor *tensor)
{
    return tensor->shape[0] * (tensor->n_dimensions == 2 ? tensor->shape[1] : 1);
}

uint64_t model_config_parameters(const struct model_config *config)
{
    uint64_t total = 0;
    for (int i = 0; i < model_layout_count(config); i++) {
        struct model_tensor tensor;
        model_layout_at(config, i, &tensor);
        if (tensor.use != TENSOR_ROTARY)
            total += (uint64_t)model_tensor_elements(&tensor);
    }
    return total;
}
