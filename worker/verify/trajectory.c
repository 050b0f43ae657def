#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/verify/checks.h"
#include "worker/verify/golden_model.h"
#include "worker/verify/rules.h"

/* P(jump) differs as much as the logits do; tokens must be equal. */
static const double jump_tolerance = 2e-5;

/* One recorded text being replayed, with exact thinning. */
struct replay {
    const struct golden *golden;
    struct golden_file file;
    struct rules rules;
    char name[128], model_name[64];
    struct model model;
    struct plan plan;
    int n_sequences, length, n_rows;
    const struct array *tokens;         /* [steps + 1, sequences, length] */
    const struct array *u_jump, *u_cat; /* [steps, sequences, length] */
    const struct array
        *jump_probability; /* [steps - 1, sequences, length]; meta: [..., steps - 1]; NULL: not recorded */
    const struct array *editable; /* [sequences, length] or NULL */
    int32_t *ids;                 /* [n_rows]: the texts as they are at this step */
    int n_wrong, n_needed, n_all;
    double largest_jump;
};

static json_t *setting(const struct replay *replay, const char *key)
{
    return golden_setting(replay->golden, &replay->file, "trajectories", replay->name, key);
}

static double real_setting(const struct replay *replay, const char *key, double fallback)
{
    json_t *value = setting(replay, key);
    double real = json_is_number(value) ? json_number_value(value) : fallback;
    json_decref(value);
    return real;
}

static bool flag_setting(const struct replay *replay, const char *key)
{
    json_t *value = setting(replay, key);
    bool flag =
        json_is_true(value) || (json_is_string(value) && !strcasecmp(json_string_value(value), "true"));
    json_decref(value);
    return flag;
}

static enum status read_rules(struct replay *replay, struct error *error)
{
    struct rules *rules = &replay->rules;
    json_t *solver = setting(replay, "solver"), *model = setting(replay, "model");
    enum status status = rules_solver(json_string_value(solver), &rules->solver, error);
    if (json_is_string(model))
        snprintf(replay->model_name, sizeof replay->model_name, "%s", json_string_value(model));
    json_decref(solver);
    json_decref(model);
    rules->n_asked = (int)real_setting(replay, "n", 0);
    rules->exponent = real_setting(replay, "expo", 1);
    rules->eps = real_setting(replay, "eps", 0);
    rules->revise = flag_setting(replay, "unmask");
    rules->has_edit_mask = golden_find(&replay->file, "edit_mask") != NULL;
    rules->bans_mask = real_setting(replay, "mask_id", -1) >= 0;
    if (status == STATUS_OK && rules->n_asked < 1)
        status = error_set(error, STATUS_INVALID_ARGUMENT, "n, the number of steps, is not given");
    if (status == STATUS_OK)
        rules_complete(rules);
    return status;
}

static enum status read_arrays(struct replay *replay, struct error *error)
{
    int n_steps = replay->rules.n_steps;
    struct golden_file *file = &replay->file;
    replay->tokens = golden_array(file, 3, (int64_t[]){n_steps + 1, -1, -1}, "tokens");
    if (!replay->tokens)
        return golden_file_error(file, error);
    const int64_t *text = replay->tokens->shape + 1;
    const int64_t steps[] = {n_steps, text[0], text[1]};
    replay->n_sequences = (int)text[0];
    replay->length = (int)text[1];
    replay->n_rows = replay->n_sequences * replay->length;
    replay->u_jump = golden_array(file, 3, steps, "u_jump");
    replay->u_cat = golden_array(file, 3, steps, "u_cat");
    replay->editable = replay->rules.has_edit_mask ? golden_array(file, 2, text, "edit_mask") : NULL;
    replay->jump_probability = golden_find(file, "jump_prob");
    const struct array *first = golden_array(file, 2, text, "x_init"),
                       *last = golden_array(file, 2, text, "final");
    if (golden_file_error(file, error) != STATUS_OK)
        return error->status;
    size_t size = (size_t)replay->n_rows * sizeof(double);
    if (memcmp(first->x, replay->tokens->x, size) != 0 ||
        memcmp(last->x, replay->tokens->x + n_steps * replay->n_rows, size) != 0)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "x_init and final are not the first and last of tokens");
    return STATUS_OK;
}

static enum status open_model(struct replay *replay, struct error *error)
{
    const char *weights = golden_weights(replay->golden, replay->model_name, "");
    const struct golden_load load = {replay->n_sequences, replay->length, replay->rules.exponent};
    if (!weights)
        return error_set(error, STATUS_INVALID_ARGUMENT, "manifest.json has no model \"%s\"",
                         replay->model_name);
    enum status status =
        golden_model_open(replay->golden, replay->model_name, weights, load, &replay->model, error);
    if (status != STATUS_OK)
        return status;
    struct model_config *config = &replay->model.weights.config;
    replay->rules.mask_token = config->mask_token;
    if (replay->rules.has_edit_mask && replay->rules.bans_mask) /* any token may be banned there */
        config->mask_token = (int)real_setting(replay, "mask_id", -1);
    status = golden_check_ids(&replay->file, replay->tokens, config->n_ids, error);
    if (status == STATUS_OK)
        status = plan_init(&replay->plan, replay->model.forward.limits, error);
    replay->ids = calloc((size_t)replay->n_rows, sizeof *replay->ids);
    if (status == STATUS_OK && !replay->ids)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d tokens", replay->n_rows);
    return status;
}

static void plan_step(struct replay *replay, int index, const struct rules_step *step)
{
    struct plan *plan = &replay->plan;
    const double *u_jump = replay->u_jump->x + index * replay->n_rows;
    const double *u_cat = replay->u_cat->x + index * replay->n_rows;
    int n = 0;
    for (int s = 0; s < replay->n_sequences; s++) {
        int first = n, first_row = s * replay->length, end_row = first_row + replay->length;
        for (int row = first_row; row < end_row; row++) {
            plan->ids[row] = replay->ids[row];
            bool editable = !replay->editable || replay->editable->x[row] != 0;
            if (!rules_need(&replay->rules, step, editable, replay->ids[row], u_jump[row]))
                continue;
            plan->needed[n] = row;
            plan->u_jump[n] = u_jump[row];
            plan->u_draw[n++] = u_cat[row];
        }
        plan->sequences[s] = (struct plan_sequence){.at = step->at,
                                                    .first_row = first_row,
                                                    .end_row = end_row,
                                                    .first_needed = first,
                                                    .end_needed = n,
                                                    .inverse_temperature = 1,
                                                    .forbid_mask = step->forbid_mask};
    }
    *plan->header = (struct plan_header){PLAN_STEP, replay->n_sequences, replay->n_rows, n};
    replay->n_needed += n;
    replay->n_all += replay->n_rows;
}

/* Compares P(jump). In plain flow matching it does not depend on the position: the file has one number for
 * each step, and the steps are the last dimension. */
static void compare_jumps(struct replay *replay, int index, const struct rules_step *step)
{
    const struct array *expected = replay->jump_probability;
    int n_steps = replay->rules.n_steps - 1;
    if (!expected || step->last)
        return;
    if (replay->rules.solver == SOLVER_DFM_EULER) {
        for (int64_t i = index; i < expected->n; i += n_steps)
            replay->largest_jump = worse(replay->largest_jump, fabs(step->limit - expected->x[i]));
        return;
    }
    for (int i = 0; i < replay->plan.header->n_needed; i++) {
        double ours = replay->model.sampler.sampled[i].jump_probability;
        double theirs = expected->x[index * replay->n_rows + replay->plan.needed[i]];
        replay->largest_jump = worse(replay->largest_jump, fabs(ours - theirs));
    }
}

static enum status take_step(struct replay *replay, int index, struct error *error)
{
    const struct rules_step step = rules_step(&replay->rules, index);
    plan_step(replay, index, &step);
    enum status status = model_step(&replay->model, &replay->plan, error);
    status = collective_agree(replay->golden->collective, status, error);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < replay->plan.header->n_needed; i++) {
        int32_t token = replay->model.sampler.sampled[i].token;
        if (token >= 0)
            replay->ids[replay->plan.needed[i]] = token;
    }
    compare_jumps(replay, index, &step);
    for (int row = 0; row < replay->n_rows; row++)
        replay->n_wrong += replay->ids[row] != (int32_t)replay->tokens->x[(index + 1) * replay->n_rows + row];
    return STATUS_OK;
}

/* The shape that compare_jumps reads. */
static enum status check_jump_shape(const struct replay *replay, struct error *error)
{
    const struct array *p = replay->jump_probability;
    int n_steps = replay->rules.n_steps - 1;
    if (!p)
        return STATUS_OK;
    bool fits = replay->rules.solver == SOLVER_DFM_EULER
                    ? n_steps > 0 && p->n_dimensions > 0 && p->shape[p->n_dimensions - 1] == n_steps
                    : p->n == (int64_t)n_steps * replay->n_rows;
    return fits
               ? STATUS_OK
               : error_set(error, STATUS_INVALID_ARGUMENT,
                           "jump_prob: its %lld numbers are not those of %d steps", (long long)p->n, n_steps);
}

static enum status run(struct replay *replay, struct report *report, struct error *error)
{
    enum status status = read_rules(replay, error);
    if (status == STATUS_OK)
        status = read_arrays(replay, error);
    if (status == STATUS_OK)
        status = check_jump_shape(replay, error);
    if (status == STATUS_OK)
        status = open_model(replay, error);
    for (int row = 0; row < replay->n_rows && status == STATUS_OK; row++)
        replay->ids[row] = (int32_t)replay->tokens->x[row];
    for (int i = 0; i < replay->rules.n_steps && status == STATUS_OK; i++)
        status = take_step(replay, i, error);
    if (status != STATUS_OK)
        return status;
    char note[128];
    snprintf(note, sizeof note, "%d of %d rows needed logits", replay->n_needed, replay->n_all);
    report_finding(report, &(struct finding){.file = replay->file.name,
                                             .what = "wrong tokens",
                                             .count = replay->rules.n_steps,
                                             .unit = "steps",
                                             .value = replay->n_wrong,
                                             .note = note});
    if (replay->jump_probability)
        report_finding(report, &(struct finding){.file = replay->file.name,
                                                 .what = "P(jump)",
                                                 .count = replay->rules.n_steps - 1,
                                                 .unit = "steps",
                                                 .value = replay->largest_jump,
                                                 .limit = jump_tolerance});
    return STATUS_OK;
}

enum status check_trajectory(const struct golden *golden, const char *name, struct report *report,
                             struct error *error)
{
    struct replay replay = {.golden = golden};
    const char *stem = name + strlen("traj_");
    snprintf(replay.name, sizeof replay.name, "%.*s", (int)(strlen(stem) - strlen(".safetensors")), stem);
    enum status status = golden_file_open(&replay.file, golden, name, error);
    if (status != STATUS_OK)
        return status;
    status = run(&replay, report, error);
    free(replay.ids);
    plan_release(&replay.plan);
    model_close(&replay.model);
    golden_file_close(&replay.file);
    return status;
}
