#include <stdio.h>
#include <string.h>

#include "cli/convert/state_dict.h"
#include "common/model/layout.h"
#include "common/model/tensors.h"
#include "common/model/network.h"

enum { GPT2_VOCABULARY = 50257, BLOCKS_MAX = 1024, EXTENT_MAX = 1 << 24 };

/* The tensor's name in a network of that architecture; `block` matters where the role is a block's. */
static const char *name_of(enum architecture architecture, enum tensor_role role, int block,
                           struct model_tensor *tensor)
{
    const struct model_config any = {.architecture = architecture};
    return model_layout_find(&any, role, block, tensor) ? tensor->name : "";
}

/* Reads one extent of a tensor and checks that it is plausible. */
static enum status extent(const struct state_dict *state, enum architecture architecture,
                          enum tensor_role role, size_t n_dimensions, size_t dimension, int *value,
                          struct error *error)
{
    struct model_tensor wanted;
    const char *name = name_of(architecture, role, 0, &wanted);
    const struct pickle_tensor *tensor = state_dict_find(state, name);
    if (!tensor)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "tensor \"%s\" is missing: these are not the weights of a %s network%s", name,
                         architecture == ARCHITECTURE_DFM ? "DFM or FS-DFM" : architecture_name(architecture),
                         architecture == ARCHITECTURE_DFM ? "; --family names the network of another" : "");
    if (tensor->shape->n != n_dimensions)
        return error_set(error, STATUS_INVALID_ARGUMENT, "tensor \"%s\" has %zu dimensions; it must have %zu",
                         name, tensor->shape->n, n_dimensions);
    const int64_t found = tensor->shape->items[dimension]->integer;
    if (found < 1 || found > EXTENT_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "tensor \"%s\": extent %lld is absurd", name,
                         (long long)found);
    *value = (int)found;
    return STATUS_OK;
}

static int count_blocks(const struct state_dict *state, enum architecture architecture)
{
    struct model_tensor norm;
    int n = 0;
    while (n <= BLOCKS_MAX && state_dict_find(state, name_of(architecture, ROLE_NORM1, n, &norm)))
        n++;
    return n;
}

/* The head size is twice the length of the rotary buffer. */
static enum status find_heads(const struct state_dict *state, enum architecture architecture, int hidden,
                              int *n_heads, struct error *error)
{
    struct model_tensor buffer;
    int half;
    if (*n_heads > 0)
        return STATUS_OK;
    if (!state_dict_find(state, name_of(architecture, ROLE_ROTARY, -1, &buffer)))
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "rotary_emb.inv_freq is not in the file, so the number of heads cannot be seen; give --heads");
    enum status status = extent(state, architecture, ROLE_ROTARY, 1, 0, &half, error);
    if (status)
        return status;
    if (hidden % (2 * half))
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "the width is %d, not a multiple of the head size %d (twice the length of rotary_emb.inv_freq)",
            hidden, 2 * half);
    *n_heads = hidden / (2 * half);
    return STATUS_OK;
}

enum status state_dict_sizes(const struct state_dict *state, const struct shape_hints *hints,
                             struct model_config *config, struct error *error)
{
    const enum architecture architecture = config->architecture;
    struct model_tensor classes;
    const struct model_config with_classes = {.architecture = architecture, .n_classes = 1};
    int rows = 0, hidden = 0, condition = 0, norm = 0, n_classes = 0, n_heads = hints->n_heads;
    enum status status = extent(state, architecture, ROLE_EMBEDDING, 2, 0, &rows, error);
    if (!status)
        status = extent(state, architecture, ROLE_EMBEDDING, 2, 1, &hidden, error);
    if (!status)
        status = extent(state, architecture, ROLE_TIME_OUT, 2, 0, &condition, error);
    if (!status) /* checks that there is a first block */
        status = extent(state, architecture, ROLE_NORM1, 1, 0, &norm, error);
    if (!status)
        status = find_heads(state, architecture, hidden, &n_heads, error);
    if (!status && model_layout_find(&with_classes, ROLE_CLASSES, -1, &classes)) {
        const struct pickle_tensor *table = state_dict_find(state, classes.name);
        n_classes = table && table->shape->n == 2 ? (int)table->shape->items[0]->integer - 1 : 0;
    }
    if (status)
        return status;
    config->vocabulary = rows - (config->source == SOURCE_MASK);
    config->hidden = hidden;
    config->condition = condition;
    config->n_heads = n_heads;
    config->n_classes = n_classes;
    config->n_blocks = count_blocks(state, architecture);
    return STATUS_OK;
}

enum status state_dict_config(const struct state_dict *state, const struct shape_hints *hints,
                              struct model_config *config, struct error *error)
{
    struct model_tensor fuser;
    const bool is_student = state_dict_find(state, name_of(ARCHITECTURE_FS_DFM, ROLE_CONDITION, -1, &fuser));
    int rows = 0;
    config->architecture = is_student ? ARCHITECTURE_FS_DFM : ARCHITECTURE_DFM;
    enum status status = extent(state, config->architecture, ROLE_EMBEDDING, 2, 0, &rows, error);
    if (status)
        return status;
    const enum source by_size = rows == GPT2_VOCABULARY + 1 ? SOURCE_MASK : SOURCE_UNIFORM;
    config->source = hints->source_given ? hints->source : by_size;
    return state_dict_sizes(state, hints, config, error);
}

static enum status check_tensor(const struct pickle_tensor *found, const struct model_tensor *wanted,
                                struct error *error)
{
    const enum dtype dtype = found->storage->dtype;
    if (dtype != DTYPE_F32 && dtype != DTYPE_BF16 && dtype != DTYPE_F16 && dtype != DTYPE_F64)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "tensor \"%s\" has dtype %s; weights must be floating-point", wanted->name,
                         dtype_name(dtype));
    int64_t shape[TENSOR_RANK_MAX];
    const int n = found->shape->n < TENSOR_RANK_MAX ? (int)found->shape->n : TENSOR_RANK_MAX;
    for (int i = 0; i < n; i++)
        shape[i] = found->shape->items[i]->integer;
    if (n == wanted->n_dimensions && memcmp(shape, wanted->shape, (size_t)n * sizeof *shape) == 0)
        return STATUS_OK;
    char is[180], should_be[64];
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "tensor \"%s\": shape is %s; the other tensors ask for %s", wanted->name,
                     shape_text(shape, n, is, sizeof is),
                     shape_text(wanted->shape, wanted->n_dimensions, should_be, sizeof should_be));
}

/* Names the first tensor that the model does not have. */
static enum status name_extra(const struct state_dict *state, const struct model_config *config,
                              struct error *error)
{
    for (size_t i = 0; i < state->n; i++) {
        if (!model_layout_has(config, state->tensors[i].name))
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "tensor \"%s\" is no part of a %s model of %d blocks", state->tensors[i].name,
                             architecture_name(config->architecture), config->n_blocks);
    }
    return STATUS_OK;
}

enum status state_dict_check(const struct state_dict *state, const struct model_config *config,
                             struct error *error)
{
    size_t n_found = 0;
    for (int i = 0; i < model_layout_count(config); i++) {
        struct model_tensor wanted;
        model_layout_at(config, i, &wanted);
        const struct pickle_tensor *found = state_dict_find(state, wanted.name);
        if (!found && wanted.use == TENSOR_ROTARY)
            continue;
        if (!found)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "tensor \"%s\" is missing; a %s model of %d blocks has it", wanted.name,
                             architecture_name(config->architecture), config->n_blocks);
        enum status status = check_tensor(found, &wanted, error);
        if (status)
            return status;
        n_found++;
    }
    return n_found == state->n ? STATUS_OK : name_extra(state, config, error);
}
