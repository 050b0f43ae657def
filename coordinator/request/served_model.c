#include "coordinator/request/served_model.h"

#include <string.h>

#include "common/model/network.h"
#include "common/model/tensors.h"

static enum status read_fingerprint(const char *directory, struct served_model *model, struct error *error)
{
    struct tensors *tensors;
    enum status status = tensors_open_model(directory, &model->config, &tensors, error);
    if (status != STATUS_OK)
        return status;
    tensors_fingerprint(tensors, &model->config, model->fingerprint);
    tensors_close(tensors);
    return STATUS_OK;
}

/* The ids that a tokenizer may have. Tokenizers of published models know the mask, too. */
static int served_model_ids(const struct model_config *config)
{
    return network_of(config->architecture)->output == OUTPUT_FLOW ? config->vocabulary : config->n_ids;
}

enum status served_model_open(const char *directory, struct served_model *model, struct error *error)
{
    *model = (struct served_model){.directory = directory};
    enum status status = model_config_read(directory, &model->config, error);
    if (status == STATUS_OK)
        status = read_fingerprint(directory, model, error);
    if (status == STATUS_OK)
        status = tokenizer_open(directory, served_model_ids(&model->config), &model->tokenizer, error);
    return status;
}

enum status served_model_check_unchanged(const struct served_model *model, struct error *error)
{
    struct served_model now = {0};
    struct error why;
    enum status status = model_config_read(model->directory, &now.config, &why);
    if (status == STATUS_OK)
        status = read_fingerprint(model->directory, &now, &why);
    if (status != STATUS_OK)
        return error_set(error, STATUS_FAILED_PRECONDITION,
                         "no replica could load the model again: %s. Nothing was drained", why.text);
    if (strcmp(now.fingerprint, model->fingerprint) != 0)
        return error_set(
            error, STATUS_FAILED_PRECONDITION,
            "%s holds another model now (fingerprint %s; this coordinator serves %s, which it read at its "
            "start), and its replicas would be refused. For the new model start a new coordinator. "
            "Nothing was drained",
            model->directory, now.fingerprint, model->fingerprint);
    return STATUS_OK;
}

void served_model_close(struct served_model *model)
{
    tokenizer_free(model->tokenizer);
    model->tokenizer = NULL;
}

enum status served_model_check_name(const struct served_model *model, const char *name, struct error *error)
{
    if (!name || !*name || !strcmp(name, model->config.name))
        return STATUS_OK;
    return error_set(error, STATUS_NOT_FOUND, "model: \"%.100s\" is not served here; \"%s\" is", name,
                     model->config.name);
}

enum status served_model_encode(const struct served_model *model, const char *field, const char *text,
                                bool plain_text, int32_t **ids, size_t *n_ids, struct error *error)
{
    enum status status =
        plain_text ? tokenizer_encode_ordinary(model->tokenizer, text, strlen(text), ids, n_ids, error)
                   : tokenizer_encode(model->tokenizer, text, strlen(text), ids, n_ids, error);
    if (status != STATUS_OK)
        error_prefix(error, "%s", field);
    return status;
}
