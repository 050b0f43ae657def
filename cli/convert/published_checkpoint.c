#include "cli/convert/published_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file_read.h"
#include "common/model/file.h"
#include "common/model/layout.h"
#include "common/model/network.h"

/* Reads a config.json that must be of a published network. */
static enum status read_config(const char *path, struct model_config *config, struct error *error)
{
    char *json;
    size_t size_bytes;
    enum status status = file_read(path, FILE_REGULAR, MODEL_CONFIG_BYTES_MAX, &json, &size_bytes, error);
    if (status)
        return status;
    status = model_config_parse(json, size_bytes, path, config, error);
    free(json);
    if (!status && network_of(config->architecture)->output == OUTPUT_FLOW)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: is of a %s model, which needs no --config",
                         path, architecture_name(config->architecture));
    return status;
}

/* DIR/config.json of DIR/pytorch_model.bin; malloc'ed. Checkpoints of other names lie anywhere. */
static char *config_beside(const char *checkpoint)
{
    const char *slash = strrchr(checkpoint, '/'), *name = slash ? slash + 1 : checkpoint;
    char *directory = slash ? strndup(checkpoint, (size_t)(slash - checkpoint)) : strdup(".");
    char *path =
        directory && strcmp(name, "pytorch_model.bin") == 0 ? model_path(directory, "config.json") : NULL;
    free(directory);
    if (path && access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static enum status find_family(const char *name, enum architecture *architecture, struct error *error)
{
    char all[160];
    size_t used = 0;
    for (int i = 0; i < ARCHITECTURE_COUNT; i++) {
        const struct network *network = network_of((enum architecture)i);
        if (network->output == OUTPUT_FLOW)
            continue;
        *architecture = (enum architecture)i;
        if (strcmp(name, network->name) == 0)
            return STATUS_OK;
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", network->name);
    }
    return error_set(error, STATUS_INVALID_ARGUMENT, "--family is \"%.32s\"; it must be one of %s", name,
                     all);
}

enum status published_find_config(const struct convert_options *options, struct model_config *config,
                                  bool *has_config, enum architecture *architecture, struct error *error)
{
    *architecture = ARCHITECTURE_COUNT;
    char *beside = options->config ? NULL : config_beside(options->checkpoint);
    const char *path = options->config ? options->config : beside;
    enum status status = path ? read_config(path, config, error) : STATUS_OK;
    *has_config = path;
    free(beside);
    if (!status && *has_config)
        *architecture = config->architecture;
    if (status || !options->family)
        return status;
    enum architecture named = ARCHITECTURE_COUNT;
    status = find_family(options->family, &named, error);
    if (!status && *has_config && named != config->architecture)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "--family is %s, and the config.json is of a %s model", options->family,
                         architecture_name(config->architecture));
    *architecture = named;
    return status;
}

/* ---- states ---- */

/* The name without the publisher's prefix. */
static struct pickle_text bare(struct pickle_text name, const struct network *network)
{
    for (const char *const *prefix = network->prefixes; *prefix; prefix++) {
        const size_t n = strlen(*prefix);
        if (name.size_bytes > n && memcmp(name.bytes, *prefix, n) == 0)
            return (struct pickle_text){name.bytes + n, name.size_bytes - n};
    }
    return name;
}

static bool equals(struct pickle_text name, const char *text)
{
    return name.size_bytes == strlen(text) && memcmp(name.bytes, text, name.size_bytes) == 0;
}

static bool is_in(struct pickle_text name, const char *const *names)
{
    while (*names && !equals(name, *names))
        names++;
    return *names;
}

/* The network of a distillation's teacher lies beside the student's. */
static bool is_others(struct pickle_text name)
{
    static const char teacher[] = "teacher.";
    return name.size_bytes > sizeof teacher - 1 && memcmp(name.bytes, teacher, sizeof teacher - 1) == 0;
}

/*
 * Writes the dict's tensors under their bare names into `kept`, a dict of the caller's. With `shadow`, a
 * list, each weight comes from there. *n_weights: how many weights there are, buffers not counted.
 */
struct kept {
    struct pickle_value dict, *keys, **items;
    size_t n_weights;
};

static void keep(struct kept *kept, struct pickle_text name, struct pickle_value *value)
{
    struct pickle_value *key = &kept->keys[kept->dict.items.n / 2];
    *key = (struct pickle_value){.kind = PICKLE_TEXT, .text = name};
    kept->items[kept->dict.items.n++] = key;
    kept->items[kept->dict.items.n++] = value;
}

static void keep_all(struct kept *kept, const struct pickle_items *from, const struct network *network,
                     const struct pickle_items *shadow)
{
    for (size_t i = 0; i < from->n; i += 2) {
        const struct pickle_value *key = from->items[i];
        const struct pickle_text name =
            key->kind == PICKLE_TEXT ? bare(key->text, network) : (struct pickle_text){0};
        if (is_in(name, network->buffers) || is_others(name))
            continue;
        if (equals(name, "rotary_emb.inv_freq")) { /* a buffer, and of use */
            keep(kept, name, from->items[i + 1]);
            continue;
        }
        struct pickle_value *value = from->items[i + 1];
        if (shadow)
            value = kept->n_weights < shadow->n ? shadow->items[kept->n_weights] : value;
        keep(kept, name, value);
        kept->n_weights++;
    }
}

static const struct pickle_value *find_dict(const struct pickle_value *root, const char **entry)
{
    static const char *const entries[] = {"state_dict", "model", "model_state_dict"};
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        const struct pickle_value *found = pickle_get(root, entries[i]);
        *entry = entries[i];
        if (found && found->kind == PICKLE_DICT)
            return found;
    }
    *entry = "the file itself";
    return root;
}

static enum status build(const struct pickle_value *dict, const struct network *network,
                         const struct pickle_items *shadow, struct state_dict *state, struct error *error)
{
    struct kept kept = {.dict = {.kind = PICKLE_DICT}};
    if (dict->kind != PICKLE_DICT)
        return error_set(error, STATUS_INVALID_ARGUMENT, "is no dict of tensors");
    kept.keys = calloc(dict->items.n / 2 + 1, sizeof *kept.keys);
    kept.items = calloc(dict->items.n + 1, sizeof *kept.items);
    enum status status =
        kept.keys && kept.items ? STATUS_OK : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    if (!status) {
        kept.dict.items.items = kept.items;
        keep_all(&kept, &dict->items, network, shadow);
        if (shadow && kept.n_weights != shadow->n)
            status = error_set(error, STATUS_INVALID_ARGUMENT,
                               "ema.shadow_params has %zu weights; the state dict has %zu", shadow->n,
                               kept.n_weights);
    }
    if (!status)
        status = state_dict_read(&kept.dict, state, error);
    free(kept.keys);
    free(kept.items);
    return status;
}

enum status published_state(const struct pickle_value *root, enum architecture architecture,
                            const char *weights, struct state_dict *state, struct convert_report *report,
                            struct error *error)
{
    const char *entry;
    const struct pickle_value *dict = find_dict(root, &entry);
    const struct pickle_value *ema = pickle_get(root, "ema"),
                              *shadow = ema ? pickle_get(ema, "shadow_params") : NULL;
    const bool has_average = shadow && shadow->kind == PICKLE_LIST;
    const bool wants_average = weights ? strcmp(weights, "ema") == 0 : has_average;
    snprintf(report->offered, sizeof report->offered, "%s%s", entry,
             has_average ? ", ema.shadow_params" : "");
    if (weights && !wants_average && strcmp(weights, "raw") != 0)
        return error_set(error, STATUS_INVALID_ARGUMENT, "weights \"%.32s\" are unknown: ema or raw",
                         weights);
    if (wants_average && !has_average)
        return error_set(error, STATUS_NOT_FOUND, "has no ema.shadow_params; it offers: %s", report->offered);
    snprintf(report->entry, sizeof report->entry, "%s", wants_average ? "ema.shadow_params" : entry);
    return build(dict, network_of(architecture), wants_average ? &shadow->items : NULL, state, error);
}

/* ---- sizes ---- */

/* What the published config would say of a network, where only its shapes are known. */
static void usual(enum architecture architecture, struct model_config *config)
{
    const struct network *network = network_of(architecture);
    const bool is_mask = network->sources == SOURCES_MASK;
    config->architecture = architecture;
    config->source = is_mask ? SOURCE_MASK : SOURCE_UNIFORM;
    config->is_timeless = architecture == ARCHITECTURE_MDLM;
    config->scheduler_exponent = 1;
    config->default_solver = network->default_solver;
}

enum status published_fill(const struct state_dict *state, const struct model_config *published, int n_heads,
                           enum architecture architecture, struct model_config *config, struct error *error)
{
    if (published) {
        char name[MODEL_NAME_MAX];
        memcpy(name, config->name, sizeof name);
        *config = *published;
        memcpy(config->name, name, sizeof name);
        return STATUS_OK;
    }
    if (architecture == ARCHITECTURE_BD3LM || architecture == ARCHITECTURE_GIDD)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "the weights of a %s model do not say all of it; give its config.json (--config)",
                         architecture_name(architecture));
    usual(architecture, config);
    const struct shape_hints hints = {.n_heads = n_heads};
    return state_dict_sizes(state, &hints, config, error);
}
