#include "cli/convert/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/convert/convert_elements.h"
#include "cli/convert/model_directory.h"
#include "cli/convert/random_normal.h"
#include "common/model/file.h"
#include "common/model/layout.h"
#include "common/model/tensors.h"
#include "common/model/network.h"

enum { PIECE_ELEMENTS = 1 << 16 };

/* The last ones are the published ones; the first two are for tests and small machines. Those of other
 * networks go by small and medium (which GIDD calls base). */
static const struct size {
    const char *name;
    int hidden, n_heads, n_blocks, condition;
} sizes[] = {
    {"nano", 64, 4, 2, 32},        {"mini", 192, 4, 4, 64},     {"0.17B", 768, 12, 12, 128},
    {"1.3B", 2048, 32, 21, 256},   {"1.7B", 2048, 32, 28, 256}, {"small", 768, 12, 12, 128},
    {"medium", 1024, 16, 24, 128},
};

/* What the published models of a network have in common beside their sizes. */
static const struct published {
    enum architecture architecture;
    int n_ids, length;
} published[] = {{ARCHITECTURE_MDLM, 50258, 1024}, {ARCHITECTURE_SEDD, 50258, 1024},
                 {ARCHITECTURE_DUO, 50258, 1024},  {ARCHITECTURE_UDLM, 30522, 128},
                 {ARCHITECTURE_GIDD, 50259, 512},  {ARCHITECTURE_BD3LM, 50258, 1024}};

/* All state that making the tensors needs. It is large, so it is allocated. */
struct maker {
    const struct random_options *options;
    const struct model_config *config;
    struct tensors_writer *writer;
    struct normal_table table;
    float values[PIECE_ELEMENTS], scratch[PIECE_ELEMENTS], converted[PIECE_ELEMENTS];
};

static const struct size *find_size(const char *name)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strcmp(sizes[i].name, name) == 0)
            return &sizes[i];
    return NULL;
}

/* "mdlm-small": the network before the dash. NULL: none of the published ones; `size` is the part behind it.
 */
static const struct published *find_published(const char *name, const char **size)
{
    *size = name;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const char *network = architecture_name(published[i].architecture);
        const size_t n = strlen(network);
        if (strncmp(name, network, n) != 0 || name[n] != '-')
            continue;
        *size = name + n + 1;
        return &published[i];
    }
    return NULL;
}

/* A published network's own: the rest follows from its size. */
static void be_published(const struct published *of, const struct random_options *options,
                         struct model_config *config)
{
    const struct network *network = network_of(of->architecture);
    const bool is_mask = network->sources == SOURCES_MASK;
    config->architecture = of->architecture;
    config->source = is_mask ? SOURCE_MASK : SOURCE_UNIFORM;
    config->vocabulary = options->vocabulary ? options->vocabulary : of->n_ids - is_mask;
    config->is_timeless = of->architecture == ARCHITECTURE_MDLM;
    config->trained_length = config->max_length = of->length;
    config->default_steps = 64;
    config->max_steps = 8192;
    config->default_solver = network->default_solver;
    if (of->architecture == ARCHITECTURE_BD3LM) {
        config->block_size = 16;
        config->default_steps = of->length;
    }
    if (of->architecture == ARCHITECTURE_GIDD) {
        config->p_uniform = 0.2;
        config->t_eps = 1e-4;
    }
}

static enum status find_config(const struct random_options *options, struct model_config *config,
                               struct error *error)
{
    enum { GPT2_VOCABULARY = 50257 };
    const char *size_name;
    const struct published *of = find_published(options->size, &size_name);
    const struct size *size = find_size(of && strcmp(size_name, "base") == 0 ? "medium" : size_name);
    if (!size)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "size \"%.32s\" is unknown: nano, mini, 0.17B, 1.3B or 1.7B; of another network as in "
            "mdlm-small: mdlm, sedd, duo, udlm, gidd or bd3lm, and nano, mini, small or medium",
            options->size);
    *config = (struct model_config){.architecture = ARCHITECTURE_FS_DFM,
                                    .source = options->source,
                                    .vocabulary = options->vocabulary ? options->vocabulary : GPT2_VOCABULARY,
                                    .hidden = size->hidden,
                                    .n_heads = size->n_heads,
                                    .n_blocks = size->n_blocks,
                                    .condition = size->condition,
                                    .scheduler_exponent = 1,
                                    .trained_length = 1024,
                                    .max_length = 1024,
                                    .default_steps = 8,
                                    .max_steps = 1024};
    if (of)
        be_published(of, options, config);
    snprintf(config->name, sizeof config->name, "random-%s", options->size);
    return model_config_complete(config, error);
}

/* Does the tensor write into the residual stream? There are two such sums in each block. */
static bool ends_branch(const struct model_tensor *tensor)
{
    return tensor->role == ROLE_ATTENTION_OUT || tensor->role == ROLE_DOWN;
}

static float deviation_of(const struct model_tensor *tensor, const struct model_config *config)
{
    const double fan_in = (double)tensor->shape[1];
    switch (tensor->use) {
    case TENSOR_EMBEDDING:
        return 1;
    case TENSOR_BIAS:
        return 0.02F;
    case TENSOR_ADALN:
        return (float)(0.3 / sqrt(fan_in));
    case TENSOR_LINEAR:
        break;
    case TENSOR_NORM: /* these two are not random */
    case TENSOR_ROTARY:
        return 0;
    }
    if (tensor->sharding == SHARDED_VOCABULARY) /* the LM head */
        return (float)(3 / sqrt(fan_in));
    return (float)((ends_branch(tensor) ? 1 / sqrt(2.0 * config->n_blocks) : 1) / sqrt(fan_in));
}

/* Fills values[n] with the tensor's elements from `first` on. */
static void fill(struct maker *maker, const struct model_tensor *tensor, int index, int64_t first, size_t n)
{
    const double head_size = maker->config->head_size;
    if (tensor->use != TENSOR_NORM && tensor->use != TENSOR_ROTARY) {
        normal_fill(&maker->table, maker->options->seed, (uint32_t)index, (uint64_t)first, n,
                    deviation_of(tensor, maker->config), maker->values);
        return;
    }
    for (size_t i = 0; i < n; i++)
        maker->values[i] =
            tensor->use == TENSOR_NORM ? 1 : (float)pow(10000, -2 * (double)(first + (int64_t)i) / head_size);
}

static enum status write_tensor(struct maker *maker, const struct model_tensor *tensor, int index,
                                enum dtype dtype, struct error *error)
{
    const int64_t n_elements = model_tensor_elements(tensor);
    enum status status = STATUS_OK;
    for (int64_t first = 0; first < n_elements && !status; first += PIECE_ELEMENTS) {
        const size_t n = n_elements - first < PIECE_ELEMENTS ? (size_t)(n_elements - first) : PIECE_ELEMENTS;
        fill(maker, tensor, index, first, n);
        convert_elements(DTYPE_F32, maker->values, n, dtype, maker->converted, maker->scratch);
        status = tensors_write_data(maker->writer, maker->converted, n * dtype_bytes(dtype), error);
    }
    return status;
}

static void list_outputs(const struct random_options *options, const struct model_config *config,
                         struct model_tensor *tensors, struct tensor_output *outputs, int n)
{
    for (int i = 0; i < n; i++) {
        model_layout_at(config, i, &tensors[i]);
        outputs[i].name = tensors[i].name;
        outputs[i].dtype = tensors[i].n_dimensions == 2 ? options->dtype : DTYPE_F32;
        outputs[i].n_dimensions = tensors[i].n_dimensions;
        memcpy(outputs[i].shape, tensors[i].shape, sizeof tensors[i].shape);
    }
}

static enum status write_tensors(struct maker *maker, const char *path, struct model_tensor *tensors,
                                 struct tensor_output *outputs, struct error *error)
{
    const int n = model_layout_count(maker->config);
    list_outputs(maker->options, maker->config, tensors, outputs, n);
    enum status status = tensors_write_open(path, outputs, n, &maker->writer, error);
    if (status)
        return status;
    for (int i = 0; i < n && !status; i++)
        status = write_tensor(maker, &tensors[i], i, outputs[i].dtype, error);
    if (!status)
        return tensors_write_close(maker->writer, error);
    tensors_write_abandon(maker->writer);
    return status;
}

static enum status write_weights(const struct random_options *options, const struct model_config *config,
                                 struct error *error)
{
    const size_t n = (size_t)model_layout_count(config);
    char *path = model_path(options->directory, "model.safetensors");
    struct maker *maker = calloc(1, sizeof *maker);
    struct model_tensor *tensors = calloc(n, sizeof *tensors);
    struct tensor_output *outputs = calloc(n, sizeof *outputs);
    enum status status;
    if (!path || !maker || !tensors || !outputs) {
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    } else {
        maker->options = options;
        maker->config = config;
        normal_table_init(&maker->table);
        status = write_tensors(maker, path, tensors, outputs, error);
    }
    free(outputs);
    free(tensors);
    free(maker);
    free(path);
    return status;
}

enum status random_model(const struct random_options *options, struct model_config *config,
                         struct error *error)
{
    char origin[128];
    struct model_config made;
    struct file_lock lock;
    enum status status = find_config(options, &made, error);
    if (!status)
        status = model_directory_make(options->directory, &lock, error);
    if (status)
        return status;
    status = write_weights(options, &made, error);
    snprintf(origin, sizeof origin, "{\"made_by\": \"millrace random %s\", \"seed\": \"%" PRIu64 "\"}",
             MILLRACE_VERSION, options->seed);
    if (!status)
        status = model_config_write(options->directory, &made, origin, error);
    file_lock_release(&lock);
    if (!status)
        *config = made;
    return status;
}
