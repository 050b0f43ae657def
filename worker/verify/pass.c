#include "worker/verify/pass.h"

#include <stdlib.h>
#include <string.h>

enum status pass_read(struct golden_file *file, const char *prefix, struct pass *pass, struct error *error)
{
    const struct array *ids = golden_array(file, 2, (int64_t[]){-1, -1}, "%sx_t", prefix);
    if (!ids)
        return golden_file_error(file, error);
    *pass = (struct pass){.n_sequences = (int)ids->shape[0], .length = (int)ids->shape[1], .ids = ids};
    pass->t = golden_array(file, 1, ids->shape, "%st", prefix);
    pass->dt = golden_find(file, "%sdt", prefix) ? golden_array(file, 1, ids->shape, "%sdt", prefix) : NULL;
    return golden_file_error(file, error);
}

static void plan_everything(struct plan *plan, const struct pass *pass)
{
    int length = pass->length, n_rows = pass->n_sequences * length;
    *plan->header = (struct plan_header){PLAN_STEP, pass->n_sequences, n_rows, n_rows};
    for (int s = 0; s < pass->n_sequences; s++) {
        float t = (float)pass->t->x[s], dt = pass->dt ? (float)pass->dt->x[s] : 0;
        plan->sequences[s] = (struct plan_sequence){.at = {.t = t, .h = dt, .bound = -1},
                                                    .first_row = s * length,
                                                    .end_row = (s + 1) * length,
                                                    .first_needed = s * length,
                                                    .end_needed = (s + 1) * length,
                                                    .inverse_temperature = 1};
    }
    for (int row = 0; row < n_rows; row++) {
        plan->ids[row] = (int32_t)pass->ids->x[row];
        plan->needed[row] = row;
    }
}

enum status pass_run(struct model *model, const struct golden_file *file, const struct pass *pass,
                     const void **x, struct error *error)
{
    struct plan plan;
    const struct network *network = network_of(model->weights.config.architecture);
    if (!pass->dt != (network->time != TIME_FLOW_AND_STEP))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: a step size is for a student, and a student needs one", file->name);
    enum status status = golden_check_ids(file, pass->ids, model->weights.config.n_ids, error);
    if (status == STATUS_OK)
        status = plan_init(&plan, model->forward.limits, error);
    if (status != STATUS_OK)
        return status;
    plan_everything(&plan, pass);
    *x = forward_run(&model->forward, &plan, 0);
    plan_release(&plan);
    return collective_agree(model->collective, model->backend->synchronize(model->device, error), error);
}

/* Fills this rank's columns of the logits; the others stay zero. */
static bool fill_columns(struct model *model, const void *x, int rows, float *logits)
{
    struct range columns = model->weights.shard.columns;
    int n = range_size(columns), n_ids = model->weights.config.n_ids;
    size_t size_bytes = (size_t)rows * (size_t)(n ? n : 1) * sizeof(float);
    float *on_device = model->backend->allocate(model->device, size_bytes), *mine = malloc(size_bytes);
    const struct matmul op = {.x = x,
                              .x_type = model->forward.activation,
                              .ld_x = model->weights.config.hidden,
                              .rows = rows,
                              .weight = model->weights.head,
                              .bias = model->weights.head_bias,
                              .y = on_device,
                              .ld_y = n};
    struct error error;
    bool done = on_device && mine;
    if (done) {
        model->backend->matmul(model->device, &op);
        model->backend->download(model->device, mine, on_device, size_bytes);
        done = model->backend->synchronize(model->device, &error) == STATUS_OK;
    }
    for (int row = 0; row < rows && done; row++)
        memcpy(logits + (size_t)row * (size_t)n_ids + columns.first, mine + (size_t)row * (size_t)n,
               (size_t)n * sizeof *mine);
    free(mine);
    model->backend->release(model->device, on_device);
    return done;
}

/* Joins the columns of all ranks. A rank's columns are zero on all other ranks, so adding joins them. */
static void put_together(float *logits, const float *all, size_t n, int n_ranks)
{
    memcpy(logits, all, n * sizeof *logits);
    for (int rank = 1; rank < n_ranks; rank++)
        for (size_t i = 0; i < n; i++)
            logits[i] += all[(size_t)rank * n + i];
}

float *pass_logits(struct model *model, const void *x, int rows)
{
    size_t n = (size_t)rows * (size_t)model->weights.config.n_ids;
    int n_ranks = model->collective->n_ranks;
    float *logits = calloc(n, sizeof *logits), *all = malloc((size_t)n_ranks * n * sizeof *all);
    struct error error = {0};
    bool done = logits && all && fill_columns(model, x, rows, logits);
    enum status mine =
        done ? STATUS_OK : error_set(&error, STATUS_RESOURCE_EXHAUSTED, "no memory for logits");
    if (collective_agree(model->collective, mine, &error) == STATUS_OK) {
        model->collective->table->exchange(model->collective, logits, n * sizeof *logits, all);
        put_together(logits, all, n, n_ranks);
    } else {
        free(logits);
        logits = NULL;
    }
    free(all);
    return logits;
}
