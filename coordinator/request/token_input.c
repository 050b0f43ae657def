#include "coordinator/request/token_input.h"

#include <string.h>

static enum status check_counts(const struct generate_options *options, const struct model_config *config,
                                struct error *error)
{
    if (options->n_ids < 1 || options->n_ids > (size_t)config->max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT, "tokens.ids: %zu of them; 1 to %d are allowed",
                         options->n_ids, config->max_length);
    if (options->n_editable != options->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "tokens.editable: %zu bytes for %zu ids",
                         options->n_editable, options->n_ids);
    if (options->length_is_set && options->length != options->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "length: %u, but tokens.ids has %zu",
                         options->length, options->n_ids);
    return STATUS_OK;
}

static enum status place(const struct generate_options *options, size_t i, const struct model_config *config,
                         struct draft *draft, struct error *error)
{
    if (options->editable[i] > 1)
        return error_set(error, STATUS_INVALID_ARGUMENT, "tokens.editable[%zu]: %u is neither 0 nor 1", i,
                         options->editable[i]);
    draft->editable[i] = options->editable[i];
    if (draft->editable[i])
        return STATUS_OK; /* its value is ignored */
    if (options->ids[i] >= (uint32_t)config->vocabulary)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "tokens.ids[%zu]: %u is not below the vocabulary's %d", i, options->ids[i],
                         config->vocabulary);
    draft->ids[i] = (int32_t)options->ids[i];
    return STATUS_OK;
}

static enum status place_all(const struct generate_options *options, const struct model_config *config,
                             struct draft *draft, struct error *error)
{
    for (size_t i = 0; i < options->n_ids; i++) {
        enum status status = place(options, i, config, draft, error);
        if (status != STATUS_OK)
            return status;
    }
    if (memchr(draft->editable, 1, (size_t)draft->length))
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "tokens.editable: all %d positions are pinned: nothing would be left to write",
                     draft->length);
}

enum status token_input_draft(const struct generate_options *options, const struct model_config *config,
                              struct draft *draft, struct error *error)
{
    struct draft made;
    enum status status = check_counts(options, config, error);
    if (status == STATUS_OK)
        status = draft_create(&made, options->n_ids, error);
    if (status != STATUS_OK)
        return status;
    status = place_all(options, config, &made, error);
    if (status == STATUS_OK)
        *draft = made;
    else
        draft_release(&made);
    return status;
}
