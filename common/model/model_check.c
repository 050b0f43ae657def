#include <string.h>

#include "common/model/layout.h"
#include "common/model/tensors.h"
#include "common/model/network.h"

static enum status check_tensor(const struct tensor *found, const struct model_tensor *wanted,
                                struct error *error)
{
    if (found->dtype != DTYPE_F32 && found->dtype != DTYPE_BF16 && found->dtype != DTYPE_F16)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: tensor \"%s\": dtype is %s; weights must be F32, BF16 or F16", found->file,
                         found->name, dtype_name(found->dtype));
    if (found->n_dimensions != wanted->n_dimensions ||
        memcmp(found->shape, wanted->shape, (size_t)wanted->n_dimensions * sizeof *wanted->shape) != 0) {
        char is[180], should_be[64];
        shape_text(found->shape, found->n_dimensions, is, sizeof is);
        shape_text(wanted->shape, wanted->n_dimensions, should_be, sizeof should_be);
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: tensor \"%s\": shape is %s; the config asks for %s", found->file, found->name,
                         is, should_be);
    }
    return STATUS_OK;
}

/* There are more tensors than were found of the model's: names the first that is none of them. */
static enum status name_extra(const struct tensors *tensors, const struct model_config *config,
                              struct error *error)
{
    int i = 0;
    while (model_layout_has(config, tensors_at(tensors, i)->name))
        i++;
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "%s: tensor \"%s\" is no part of a %s model of %d blocks", tensors_at(tensors, i)->file,
                     tensors_at(tensors, i)->name, architecture_name(config->architecture), config->n_blocks);
}

enum status tensors_check_model(const struct tensors *tensors, const struct model_config *config,
                                struct error *error)
{
    int n_found = 0;
    for (int i = 0; i < model_layout_count(config); i++) {
        struct model_tensor wanted;
        model_layout_at(config, i, &wanted);
        const struct tensor *found = tensors_find(tensors, wanted.name);
        if (!found && wanted.use == TENSOR_ROTARY)
            continue;
        if (!found)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "%s: tensor \"%s\" is missing; a %s model of %d blocks has it",
                             tensors_count(tensors) ? tensors_at(tensors, 0)->file : "no tensors at all",
                             wanted.name, architecture_name(config->architecture), config->n_blocks);
        enum status status = check_tensor(found, &wanted, error);
        if (status)
            return status;
        n_found++;
    }
    return n_found == tensors_count(tensors) ? STATUS_OK : name_extra(tensors, config, error);
}

enum status tensors_open_model(const char *directory, const struct model_config *config,
                               struct tensors **tensors, struct error *error)
{
    struct tensors *opened;
    enum status status = tensors_open(directory, &opened, error);
    if (status)
        return status;
    status = tensors_adopt(opened, config, error);
    if (!status)
        status = tensors_check_model(opened, config, error);
    if (status)
        tensors_close(opened);
    else
        *tensors = opened;
    return status;
}
