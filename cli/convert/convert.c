#include "cli/convert/convert.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/convert/checkpoint.h"
#include "cli/convert/convert_weights.h"
#include "cli/convert/model_directory.h"
#include "cli/convert/networks.h"
#include "cli/convert/published_checkpoint.h"
#include "cli/convert/state_dict.h"
#include "common/model/file.h"
#include "common/model/tensors.h"
#include "common/new_file.h"
#include "common/tokenizer/tokenizer.h"

enum { TOKENIZER_BYTES_MAX = 64 << 20 };

struct convert_options convert_defaults(void)
{
    return (struct convert_options){.exponent = 1,
                                    .trained_length = 1024,
                                    .max_length = 1024,
                                    .default_steps = 8,
                                    .max_steps = 1024,
                                    .dtype = DTYPE_F32};
}

static void list_offered(const struct pickle_value *root, struct convert_report *report)
{
    size_t used = 0;
    report->offered[0] = '\0';
    for (int i = 0; i < N_NETWORKS; i++)
        if (network_find(&networks[i], root))
            used += (size_t)snprintf(report->offered + used, sizeof report->offered - used, "%s%s",
                                     used ? ", " : "", networks[i].entry);
}

/* Chooses the state dict that was asked for, or the best. */
static enum status choose(const struct pickle_value *root, const char *weights, struct convert_report *report,
                          const struct pickle_value **dict, struct error *error)
{
    const struct checkpoint_network *asked = NULL; /* the first network that the option allows */
    for (int i = 0; i < N_NETWORKS; i++) {
        if (weights && strcmp(weights, networks[i].option) != 0)
            continue;
        const struct pickle_value *found = network_find(&networks[i], root);
        if (!asked)
            asked = &networks[i];
        if (!found)
            continue;
        snprintf(report->entry, sizeof report->entry, "%s", networks[i].entry);
        *dict = found;
        return STATUS_OK;
    }
    if (weights && asked)
        return error_set(error, STATUS_NOT_FOUND, "has no %s; it offers: %s", asked->entry,
                         report->offered[0] ? report->offered : "no network at all");
    if (weights)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "weights \"%.32s\" are unknown: ema, student, teacher or model", weights);
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "has none of student_ema_model, student_model, teacher_model, model, state_dict and "
                     "model_state_dict, and no tensors of its own");
}

/* Sets the name that was given, or the directory's last part. */
static enum status set_name(const struct convert_options *options, char name[MODEL_NAME_MAX],
                            struct error *error)
{
    const char *begin = options->name ? options->name : options->directory;
    size_t end = strlen(begin);
    if (!options->name) {
        while (end > 1 && begin[end - 1] == '/')
            end--;
        const char *slash = memrchr(begin, '/', end);
        if (slash && slash + 1 < begin + end) {
            end -= (size_t)(slash + 1 - begin);
            begin = slash + 1;
        }
    }
    if (end >= MODEL_NAME_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "the model's name has %zu characters; at most %d (--name)", end, MODEL_NAME_MAX - 1);
    memcpy(name, begin, end);
    name[end] = '\0';
    return STATUS_OK;
}

static enum status fill_config(const struct convert_options *options, const struct state_dict *state,
                               struct model_config *config, struct error *error)
{
    const struct shape_hints hints = {options->source_given, options->source, options->n_heads};
    *config = (struct model_config){.scheduler_exponent = options->exponent,
                                    .trained_length = options->trained_length,
                                    .max_length = options->max_length,
                                    .default_steps = options->default_steps,
                                    .max_steps = options->max_steps};
    enum status status = set_name(options, config->name, error);
    if (!status)
        status = state_dict_config(state, &hints, config, error);
    if (!status)
        status = model_config_complete(config, error);
    return status ? status : state_dict_check(state, config, error);
}

/* Says, for later, what was taken, from where, and what else there was. The text is malloc'ed. */
static char *origin_json(const struct convert_options *options, const struct convert_report *report)
{
    const char *slash = strrchr(options->checkpoint, '/');
    json_t *origin = json_pack("{s:s, s:s, s:s, s:s}", "made_by", "millrace convert " MILLRACE_VERSION,
                               "file", slash ? slash + 1 : options->checkpoint, "entry", report->entry,
                               "offered", report->offered);
    if (report->step >= 0)
        json_object_set_new(origin, "step", json_integer(report->step));
    char *text = origin ? json_dumps(origin, 0) : NULL;
    json_decref(origin);
    return text;
}

static enum status write_tokenizer(const char *directory, const char *json, size_t size_bytes,
                                   struct error *error)
{
    struct new_file *file;
    char *path = model_path(directory, "tokenizer.json");
    if (!path)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    enum status status = new_file_create(path, &file, error);
    free(path);
    if (status)
        return status;
    status = new_file_write(file, json, size_bytes, error);
    if (!status)
        return new_file_commit(file, error);
    new_file_abandon(file);
    return status;
}

/* Checks the tokenizer against the model before anything is written, and copies it. */
static enum status copy_tokenizer(const struct convert_options *options, const struct model_config *config,
                                  struct error *error)
{
    char *json;
    size_t size_bytes;
    struct tokenizer *tokenizer;
    if (!options->tokenizer)
        return STATUS_OK;
    enum status status =
        file_read(options->tokenizer, FILE_REGULAR, TOKENIZER_BYTES_MAX, &json, &size_bytes, error);
    if (status)
        return status;
    status = tokenizer_parse(json, size_bytes, config->vocabulary, options->tokenizer, &tokenizer, error);
    if (!status) {
        tokenizer_free(tokenizer);
        status = write_tokenizer(options->directory, json, size_bytes, error);
    }
    free(json);
    return status;
}

/* Opens the new model directory as a worker would. */
static enum status verify(const char *path, struct convert_report *report, struct error *error)
{
    struct tensors *tensors;
    enum status status = tensors_open_file(path, &tensors, error);
    if (status)
        return status;
    status = tensors_check_model(tensors, &report->config, error);
    tensors_fingerprint(tensors, &report->config, report->fingerprint);
    report->file_bytes = tensors_file_bytes(tensors);
    tensors_close(tensors);
    return status;
}

static enum status write_files(const struct convert_options *options, struct checkpoint *checkpoint,
                               const struct state_dict *state, struct convert_report *report,
                               struct error *error)
{
    enum status status = copy_tokenizer(options, &report->config, error);
    if (status)
        return status;
    char *path = model_path(options->directory, "model.safetensors"), *origin = origin_json(options, report);
    if (!path || !origin)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    if (!status) {
        status = convert_weights(options, &report->config, checkpoint, state, path, error);
        if (status)
            error_prefix(error, "%s: %s", options->checkpoint, report->entry);
    }
    if (!status) {
        status = verify(path, report, error);
        if (!status)
            status = model_config_write(options->directory, &report->config, origin, error);
        if (status)
            unlink(path);
    }
    free(origin);
    free(path);
    return status;
}

static enum status write_model(const struct convert_options *options, struct checkpoint *checkpoint,
                               const struct state_dict *state, struct convert_report *report,
                               struct error *error)
{
    struct file_lock lock;
    enum status status = model_directory_make(options->directory, &lock, error);
    if (status)
        return status;
    status = write_files(options, checkpoint, state, report, error);
    file_lock_release(&lock);
    return status;
}

/* A published network: its state, and its config from what was published or from the shapes. */
static enum status read_published(const struct convert_options *options, const struct pickle_value *root,
                                  enum architecture architecture, const struct model_config *published,
                                  struct state_dict *state, struct convert_report *report,
                                  struct error *error)
{
    struct model_config *config = &report->config;
    *config = (struct model_config){.trained_length = options->trained_length,
                                    .max_length = options->max_length,
                                    .default_steps = options->default_steps,
                                    .max_steps = options->max_steps};
    enum status status = published_state(root, architecture, options->weights, state, report, error);
    if (!status)
        status = set_name(options, config->name, error);
    if (!status)
        status = published_fill(state, published, options->n_heads, architecture, config, error);
    if (!status)
        status = model_config_complete(config, error);
    if (!status)
        status = state_dict_check(state, config, error);
    if (status)
        error_prefix(error, "%s", options->checkpoint);
    return status;
}

/* Finds the network, its shapes and its step. */
static enum status read_network(const struct convert_options *options, const struct checkpoint *checkpoint,
                                struct state_dict *state, struct convert_report *report, struct error *error)
{
    const struct pickle_value *root = checkpoint_root(checkpoint), *step = pickle_get(root, "step");
    const struct pickle_value *dict = NULL;
    struct model_config published;
    enum architecture architecture;
    bool has_config;
    enum status status = published_find_config(options, &published, &has_config, &architecture, error);
    if (status)
        return status;
    report->step = step && step->kind == PICKLE_INTEGER ? step->integer : -1;
    if (architecture != ARCHITECTURE_COUNT)
        return read_published(options, root, architecture, has_config ? &published : NULL, state, report,
                              error);
    list_offered(root, report);
    status = choose(root, options->weights, report, &dict, error);
    if (status) {
        error_prefix(error, "%s", options->checkpoint);
        return status;
    }
    status = state_dict_read(dict, state, error);
    if (!status)
        status = fill_config(options, state, &report->config, error);
    if (status)
        error_prefix(error, "%s: %s", options->checkpoint, report->entry);
    return status;
}

enum status convert_checkpoint(const struct convert_options *options, struct convert_report *report,
                               struct error *error)
{
    struct checkpoint *checkpoint = NULL;
    struct state_dict state = {0};
    struct convert_report made = {0};
    enum status status = checkpoint_open(options->checkpoint, &checkpoint, error);
    if (!status)
        status = read_network(options, checkpoint, &state, &made, error);
    if (!status)
        status = write_model(options, checkpoint, &state, &made, error);
    if (!status)
        *report = made;
    state_dict_release(&state);
    checkpoint_close(checkpoint);
    return status;
}
