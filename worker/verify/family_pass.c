#include "worker/verify/family.h"

#include <stdlib.h>
#include <string.h>

#include "worker/verify/pass.h"

/* Adds a text to the plan; all of its rows are needed. */
static void add_text(const struct model_config *config, const struct family_text *text, struct plan *plan)
{
    struct plan_header *header = plan->header;
    const int first = header->n_rows;
    plan->sequences[header->n_sequences++] =
        (struct plan_sequence){.at = {.t = text->time, .bound = -1},
                               .first_row = first,
                               .end_row = first + text->length,
                               .first_needed = first,
                               .end_needed = first + text->length,
                               .inverse_temperature = 1,
                               .forbid_mask = config->source == SOURCE_MASK,
                               .class = text->class < 0 ? config->n_classes : text->class};
    for (int i = 0; i < text->length; i++) {
        plan->ids[first + i] = (int32_t)text->ids[i];
        plan->needed[first + i] = first + i;
    }
    header->n_rows += text->length;
    header->n_needed += text->length;
}

static enum status check_room(const struct model *model, const struct family_text *texts, int n,
                              struct error *error)
{
    const struct plan_limits limits = model->forward.limits;
    int rows = 0;
    for (int i = 0; i < n; i++) {
        rows += texts[i].length;
        for (int k = 0; k < texts[i].length; k++)
            if (!(texts[i].ids[k] >= 0 && texts[i].ids[k] < model->weights.config.n_ids))
                return error_set(error, STATUS_INVALID_ARGUMENT, "%g is no token of the %d", texts[i].ids[k],
                                 model->weights.config.n_ids);
    }
    if (n <= limits.max_sequences && rows <= limits.max_rows)
        return STATUS_OK;
    return error_set(error, STATUS_INTERNAL, "%d texts of %d positions; the model was opened for %d of %d", n,
                     rows, limits.max_sequences, limits.max_rows);
}

enum status family_logits(struct model *model, const struct family_text *texts, int n, float **logits,
                          struct error *error)
{
    struct plan plan;
    enum status status = check_room(model, texts, n, error);
    if (status == STATUS_OK)
        status = plan_init(&plan, model->forward.limits, error);
    if (status != STATUS_OK)
        return status;
    *plan.header = (struct plan_header){.command = PLAN_STEP};
    for (int i = 0; i < n; i++)
        add_text(&model->weights.config, &texts[i], &plan);
    const void *x = forward_run(&model->forward, &plan, 0);
    status = model->backend->synchronize(model->device, error);
    *logits = status == STATUS_OK ? pass_logits(model, x, plan.header->n_rows) : NULL;
    plan_release(&plan);
    if (status == STATUS_OK && !*logits)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for logits");
    return status;
}

/* Keeps the needed rows alone, with their uniforms. */
static void need_some(const struct family_draw *draw, int length, struct plan *plan)
{
    int n = 0;
    for (int i = 0; i < length; i++) {
        if (!draw->needed[i])
            continue;
        plan->needed[n] = i;
        plan->u_jump[n] = draw->u_jump[i];
        plan->u_draw[n++] = draw->u_draw[i];
    }
    plan->header->n_needed = plan->sequences[0].end_needed = n;
    memcpy(plan->sequences[0].law, draw->law, sizeof draw->law);
}

static void spread(const struct plan *plan, const struct sampled *from, int length, struct sampled *to)
{
    for (int i = 0; i < length; i++)
        to[i] = (struct sampled){.token = -1};
    for (int i = 0; i < plan->header->n_needed; i++)
        to[plan->needed[i]] = from[i];
}

enum status family_sample(struct model *model, const struct family_text *text, const struct family_draw *draw,
                          struct sampled *sampled, struct error *error)
{
    struct plan plan;
    enum status status = check_room(model, text, 1, error);
    if (status == STATUS_OK)
        status = plan_init(&plan, model->forward.limits, error);
    if (status != STATUS_OK)
        return status;
    *plan.header = (struct plan_header){.command = PLAN_STEP};
    add_text(&model->weights.config, text, &plan);
    need_some(draw, text->length, &plan);
    status = model_step(model, &plan, error);
    if (status == STATUS_OK)
        spread(&plan, model->sampler.sampled, text->length, sampled);
    plan_release(&plan);
    return status;
}
