#include "common/model/layout.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static int64_t extent_of(const struct model_config *config, enum extent extent)
{
    const int64_t hidden = config->hidden, condition = config->condition;
    switch (extent) {
    case EXTENT_V:
        return config->n_ids;
    case EXTENT_D:
        return hidden;
    case EXTENT_2D:
        return 2 * hidden;
    case EXTENT_3D:
        return 3 * hidden;
    case EXTENT_6D:
        return 6 * hidden;
    case EXTENT_F:
        return 4 * hidden;
    case EXTENT_C:
        return condition;
    case EXTENT_2C:
        return 2 * condition;
    case EXTENT_SINUSOID:
        return SINUSOID_WIDTH;
    case EXTENT_HALF_HEAD:
        return config->head_size / 2;
    case EXTENT_CLASSES:
        return config->n_classes + 1;
    case EXTENT_NONE:
        break;
    }
    return 1;
}

static bool has(const struct model_config *config, const struct network_tensor *row)
{
    switch (row->presence) {
    case WITH_CLASSES:
        return config->n_classes > 0;
    case WITH_MODULATION:
        return !config->is_unmodulated;
    case ALWAYS:
        break;
    }
    return true;
}

static int count(const struct model_config *config, struct network_part part)
{
    int n = 0;
    for (int i = 0; i < part.n; i++)
        n += has(config, &part.tensors[i]);
    return n;
}

/* The index-th tensor of the part that this model has. */
static const struct network_tensor *row_at(const struct model_config *config, struct network_part part,
                                           int index)
{
    for (const struct network_tensor *row = part.tensors;; row++)
        if (has(config, row) && index-- == 0)
            return row;
}

int model_layout_count(const struct model_config *config)
{
    const struct network *network = network_of(config->architecture);
    return count(config, network->before) + config->n_blocks * count(config, network->block) +
           count(config, network->after);
}

static void fill(const struct model_config *config, const struct network_tensor *row, int block,
                 struct model_tensor *tensor)
{
    *tensor = (struct model_tensor){.n_dimensions = row->columns == EXTENT_NONE ? 1 : 2,
                                    .shape = {extent_of(config, row->rows), extent_of(config, row->columns)},
                                    .use = row->use,
                                    .sharding = row->sharding,
                                    .role = row->role,
                                    .block = block};
    if (block < 0)
        snprintf(tensor->name, sizeof tensor->name, "%s", row->name);
    else
        snprintf(tensor->name, sizeof tensor->name, "blocks.%d.%s", block, row->name);
}

void model_layout_at(const struct model_config *config, int index, struct model_tensor *tensor)
{
    assert(index >= 0 && index < model_layout_count(config));
    const struct network *network = network_of(config->architecture);
    const int n_before = count(config, network->before), n_block = count(config, network->block);
    const int in_blocks = index - n_before, after = in_blocks - config->n_blocks * n_block;
    if (in_blocks < 0)
        fill(config, row_at(config, network->before, index), -1, tensor);
    else if (after < 0)
        fill(config, row_at(config, network->block, in_blocks % n_block), in_blocks / n_block, tensor);
    else
        fill(config, row_at(config, network->after, after), -1, tensor);
}

static const struct network_tensor *row_of(const struct model_config *config, struct network_part part,
                                           enum tensor_role role)
{
    for (int i = 0; i < part.n; i++)
        if (part.tensors[i].role == role && has(config, &part.tensors[i]))
            return &part.tensors[i];
    return NULL;
}

bool model_layout_find(const struct model_config *config, enum tensor_role role, int block,
                       struct model_tensor *tensor)
{
    const struct network *network = network_of(config->architecture);
    const struct network_part parts[] = {network->before, network->block, network->after};
    for (int i = 0; i < 3; i++) {
        const struct network_tensor *row = row_of(config, parts[i], role);
        if (row) {
            fill(config, row, i == 1 ? block : -1, tensor);
            return true;
        }
    }
    return false;
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
