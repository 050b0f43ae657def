#include "coordinator/request/served_model.h"

#include "common/model/tensors.h"

static enum status read_fingerprint(const char *directory, struct served_model *model, struct error *error)
{
    struct tensors *tensors;
    enum status status = tensors_open(directory, &tensors, error);
    if (status != STATUS_OK)
        return status;
    status = tensors_check_model(tensors, &model->config, error);
    if (status == STATUS_OK)
        tensors_fingerprint(tensors, &model->config, model->fingerprint);
    tensors_close(tensors);
    return status;
}

enum status served_model_open(const char *directory, struct served_model *model, struct error *error)
{
    *model = (struct served_model){0};
    enum status status = model_config_read(directory, &model->config, error);
    if (status == STATUS_OK)
        status = read_fingerprint(directory, model, error);
    if (status == STATUS_OK)
        status = tokenizer_open(directory, model->config.vocabulary, &model->tokenizer, error);
    return status;
}

void served_model_close(struct served_model *model)
{
    tokenizer_free(model->tokenizer);
    model->tokenizer = NULL;
}
