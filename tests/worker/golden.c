#include "golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/model/config.h"

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "golden vectors: %s: %s\n", what, why);
    abort();
}

const char *golden_path(const char *file)
{
    static char path[4096];
    const char *shared = getenv("MILLRACE_SHARED");
    snprintf(path, sizeof path, "%s/golden/public", shared ? shared : "");
    if (access(path, R_OK) != 0) {
        fprintf(stderr, "skipped: the golden vectors are not here (MILLRACE_SHARED=%s)\n", shared ? shared : "");
        _exit(77); /* CTest shows it as skipped, which is what it is */
    }
    snprintf(path, sizeof path, "%s/golden/public/%s", shared, file);
    return path;
}

struct tensors *golden_open(const char *file)
{
    struct error error;
    struct tensors *tensors = NULL;
    if (tensors_open_file(golden_path(file), &tensors, &error) != STATUS_OK)
        stop(file, error.text);
    return tensors;
}

json_t *golden_manifest(void)
{
    json_error_t error;
    json_t *manifest = json_load_file(golden_path("manifest.json"), 0, &error);
    if (!manifest)
        stop("manifest.json", error.text);
    return manifest;
}

const struct tensor *golden_tensor(const struct tensors *tensors, const char *name)
{
    const struct tensor *tensor = tensors_find(tensors, name);
    if (!tensor)
        stop(name, "no such tensor");
    return tensor;
}

const int64_t *golden_i64(const struct tensors *tensors, const char *name)
{
    return golden_tensor(tensors, name)->data;
}

const float *golden_f32(const struct tensors *tensors, const char *name)
{
    return golden_tensor(tensors, name)->data;
}

static int dimension(const json_t *model, const char *key)
{
    return (int)json_integer_value(json_object_get(model, key));
}

static struct model_config config_of(const char *name, double exponent)
{
    json_t *manifest = golden_manifest();
    const char *entry = strncmp(name, "nano", 4) ? name : "nano";
    const json_t *model = json_object_get(json_object_get(manifest, "models"), entry);
    if (!model)
        stop(name, "no such model in manifest.json");
    bool masked = json_is_true(json_object_get(model, "masked"));
    int vocabulary = dimension(model, "vocab_size"), length = dimension(model, "length");
    struct model_config config = {
        .architecture = strstr(name, "teacher") ? ARCHITECTURE_DFM : ARCHITECTURE_FS_DFM,
        .source = masked ? SOURCE_MASK : SOURCE_UNIFORM,
        .vocabulary = vocabulary,
        .n_ids = vocabulary + masked,
        .mask_token = masked ? vocabulary : -1,
        .hidden = dimension(model, "hidden_size"),
        .n_heads = dimension(model, "n_heads"),
        .n_blocks = dimension(model, "n_blocks"),
        .condition = dimension(model, "cond_dim"),
        .scheduler_exponent = exponent,
        .trained_length = length ? length : 16,
        .max_length = length ? length : 16,
        .default_steps = 8,
        .max_steps = 1024,
    };
    config.head_size = config.hidden / config.n_heads;
    snprintf(config.name, sizeof config.name, "%s", name);
    json_decref(manifest);
    return config;
}

void golden_model(struct model *model, const char *name, double exponent, struct collective *collective)
{
    char directory[] = "/tmp/millrace-golden-XXXXXX", weights[4096], file[64];
    struct error error;
    struct model_config config = config_of(name, exponent);
    snprintf(file, sizeof file, "weights_%s.safetensors", name);
    if (!mkdtemp(directory))
        stop(name, "mkdtemp failed");
    snprintf(weights, sizeof weights, "%s/model.safetensors", directory);
    if (symlink(golden_path(file), weights) != 0 || model_config_write(directory, &config, NULL, &error) != STATUS_OK)
        stop(name, "cannot make a model directory");
    const struct model_options options = {.directory = directory,
                                          .backend = "cpu",
                                          .n_threads = 1,
                                          .collective = collective,
                                          .limits = {.max_sequences = 4, .max_rows = 256}};
    enum status status = model_open(model, &options, &error);
    unlink(weights);
    snprintf(weights, sizeof weights, "%s/config.json", directory);
    unlink(weights);
    rmdir(directory);
    if (status != STATUS_OK)
        stop(name, error.text);
}

double largest_of_ranks(struct collective *collective, double mine)
{
    double all[64];
    collective->table->exchange(collective, &mine, sizeof mine, all);
    double largest = mine;
    for (int rank = 0; rank < collective->n_ranks; rank++)
        if (!(all[rank] <= largest)) /* NaN wins */
            largest = all[rank];
    return largest;
}
