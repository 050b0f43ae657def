#include "worker/model/inputs.h"

#include <string.h>

/* Takes n elements of `size` bytes from a block, each array on a cache line of its own. */
static void *take(char *block, size_t *used, size_t n, size_t size)
{
    enum { LINE = 64 };
    void *at = block ? block + *used : NULL;
    *used += (n * size + LINE - 1) / LINE * LINE;
    return at;
}

static size_t lay_out(struct plan_limits limits, bool has_laws, char *block, struct input_rows *rows)
{
    size_t used = 0, n = (size_t)limits.max_rows, n_starts = (size_t)limits.max_sequences + 1;
    double **const doubles[] = {&rows->u_jump, &rows->u_draw, &rows->bound};
    int32_t **const ints[] = {&rows->needed,       &rows->condition_of_needed, &rows->position_of_needed,
                              &rows->left_out_row, &rows->left_out_other,      &rows->ids,
                              &rows->from_row,     &rows->condition_of_row,    &rows->position_of_row};
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
        *doubles[i] = take(block, &used, n, sizeof(double));
    rows->inverse_temperature = take(block, &used, n, sizeof(float));
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        *ints[i] = take(block, &used, n, sizeof(int32_t));
    if (has_laws) {
        rows->law = take(block, &used, n, sizeof *rows->law);
        rows->reported_row = take(block, &used, n, sizeof(int32_t));
        rows->reported_other = take(block, &used, n, sizeof(int32_t));
    }
    rows->row_start = take(block, &used, n_starts, sizeof(int32_t));
    rows->needed_start = take(block, &used, n_starts, sizeof(int32_t));
    return used;
}

enum status inputs_init(struct inputs *inputs, const struct backend *backend, struct device *device,
                        struct plan_limits limits, bool has_laws, struct error *error)
{
    *inputs = (struct inputs){.backend = backend, .device = device, .limits = limits, .has_laws = has_laws};
    size_t row_bytes = (size_t)limits.max_rows * sizeof(int32_t);
    inputs->size_bytes = lay_out(limits, has_laws, NULL, &inputs->rows);
    bool all = true;
    for (int slot = 0; slot < STEP_SLOTS; slot++)
        all &= (inputs->host[slot] = backend->host_allocate(device, inputs->size_bytes)) != NULL;
    for (int i = 0; i < 2; i++)
        all &= (inputs->texts[i] = backend->allocate(device, row_bytes)) != NULL;
    if (!backend->on_host)
        all &= (inputs->block = backend->allocate(device, inputs->size_bytes)) != NULL;
    if (all)
        return STATUS_OK;
    inputs_release(inputs);
    return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                     "no memory to hand the device plans of %d tokens; use a smaller --batch-tokens",
                     limits.max_rows);
}

void inputs_release(struct inputs *inputs)
{
    if (!inputs->backend)
        return;
    for (int slot = 0; slot < STEP_SLOTS; slot++)
        inputs->backend->host_release(inputs->device, inputs->host[slot]);
    for (int i = 0; i < 2; i++)
        inputs->backend->release(inputs->device, inputs->texts[i]);
    inputs->backend->release(inputs->device, inputs->block);
    *inputs = (struct inputs){0};
}

static void spell_rows(const struct input_rows *rows, const struct plan_sequence *sequence, int32_t entry)
{
    for (int row = sequence->first_row; row < sequence->end_row; row++) {
        rows->position_of_row[row] = row - sequence->first_row;
        rows->condition_of_row[row] = entry;
    }
}

static void spell_needed(const struct input_rows *rows, const struct plan *plan,
                         const struct plan_sequence *sequence, int32_t entry, int32_t mask_token)
{
    bool last = sequence->at.bound < 0;
    for (int i = sequence->first_needed; i < sequence->end_needed; i++) {
        rows->position_of_needed[i] = plan->needed[i] - sequence->first_row;
        rows->condition_of_needed[i] = entry;
        rows->inverse_temperature[i] = sequence->inverse_temperature;
        rows->bound[i] = sequence->at.bound;
        rows->left_out_row[i] = last ? -1 : plan->needed[i];
        rows->left_out_other[i] = sequence->forbid_mask ? mask_token : -1;
    }
}

/* What a row leaves out of its sum and what it reports follow from its rule: a hazard is of the other tokens,
 * and a mixture must know p of the present one. */
static void spell_law(const struct input_rows *rows, const struct plan *plan,
                      const struct plan_sequence *sequence, int i, int32_t mask_token)
{
    const struct row_law *law = &sequence->law[plan->ids[plan->needed[i]] != mask_token];
    const bool is_hazard = law->rule == ROW_HAZARD;
    rows->law[i] = *law;
    rows->left_out_row[i] = is_hazard ? plan->needed[i] : -1;
    rows->reported_row[i] = is_hazard || law->rule == ROW_MIXTURE ? plan->needed[i] : -1;
    rows->reported_other[i] = -1;
}

static void spell_plan(const struct input_rows *rows, const struct plan *plan, const int32_t *entry,
                       int32_t mask_token, bool has_laws)
{
    const struct plan_header *header = plan->header;
    size_t n_rows = (size_t)header->n_rows, n_needed = (size_t)header->n_needed;
    memcpy(rows->ids, plan->ids, n_rows * sizeof *rows->ids);
    memcpy(rows->from_row, plan->from_row, n_rows * sizeof *rows->from_row);
    memcpy(rows->needed, plan->needed, n_needed * sizeof *rows->needed);
    memcpy(rows->u_jump, plan->u_jump, n_needed * sizeof *rows->u_jump);
    memcpy(rows->u_draw, plan->u_draw, n_needed * sizeof *rows->u_draw);
    for (int s = 0; s < header->n_sequences; s++) {
        const struct plan_sequence *sequence = &plan->sequences[s];
        spell_rows(rows, sequence, entry ? entry[s] : 0);
        spell_needed(rows, plan, sequence, entry ? entry[s] : 0, mask_token);
        for (int i = sequence->first_needed; has_laws && i < sequence->end_needed; i++)
            spell_law(rows, plan, sequence, i, mask_token);
        rows->row_start[s] = sequence->first_row;
        rows->needed_start[s] = sequence->first_needed;
    }
    rows->row_start[header->n_sequences] = header->n_rows;
    rows->needed_start[header->n_sequences] = header->n_needed;
}

void inputs_upload(struct inputs *inputs, const struct plan *plan, const int32_t *entry, int32_t mask_token,
                   int slot)
{
    const struct backend *backend = inputs->backend;
    struct input_rows spelled;
    lay_out(inputs->limits, inputs->has_laws, inputs->host[slot], &spelled);
    spell_plan(&spelled, plan, entry, mask_token, inputs->has_laws);
    if (inputs->block)
        backend->upload(inputs->device, inputs->block, inputs->host[slot], inputs->size_bytes);
    lay_out(inputs->limits, inputs->has_laws, inputs->block ? inputs->block : inputs->host[slot],
            &inputs->rows);
    const int32_t *before = inputs->ids_now ? inputs->ids_now : inputs->texts[0];
    inputs->ids_now = before == inputs->texts[0] ? inputs->texts[1] : inputs->texts[0];
    backend->select_ids(inputs->device, before, inputs->rows.from_row, inputs->rows.ids, plan->header->n_rows,
                        inputs->ids_now);
}
