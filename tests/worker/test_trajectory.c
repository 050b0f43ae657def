/*
 * Whole trajectories of the reference's cumulative-scalar sampler with its random numbers injected: every
 * token of every step must be equal, with exact thinning on and on any number of ranks.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "mpi_main.h"

struct trajectory {
    const char *name, *model;
    int n_steps;
    double exponent;
    double end;           /* the time at which it ends: 1, or 1 - ε */
    bool revise;          /* mask source: the last step also rewrites what is revealed */
    bool forbid_mask;     /* the last step cannot draw the mask token */
};

/* What the reference does without mask_token_id, or with unmask_change, is said here case by case. */
static const struct trajectory trajectories[] = {
    {"student_cumulative_n1", "student", 1, 1, 1},
    {"student_cumulative_n2", "student", 2, 1, 1},
    {"student_cumulative_n4", "student", 4, 1, 1},
    {"student_cumulative_n8", "student", 8, 1, 1},
    {"student_cumulative_n4_exp2", "student", 4, 2, 1},
    {"student_cumulative_n8_eps1e-3", "student", 8, 1, 1 - 1e-3},
    {"student_cumulative_n4_prefix", "student", 4, 1, 1},
    {"student_cumulative_n4_infill", "student", 4, 1, 1},
    {"masked_cumulative_n4", "masked_student", 4, 1, 1, .forbid_mask = true},
    {"masked_cumulative_n4_unmask_change", "masked_student", 4, 1, 1, .revise = true, .forbid_mask = true},
    {"masked_cumulative_n4_infill", "masked_student", 4, 1, 1, .revise = true},
    {"masked_cumulative_n4_infill_mask_id", "masked_student", 4, 1, 1, .revise = true, .forbid_mask = true},
};

struct run {
    const struct trajectory *trajectory;
    struct model model;
    struct tensors *golden;
    struct plan plan;
    int n_sequences, length;
    const int64_t *tokens; /* [steps + 1, sequences, length] */
    const float *u_jump, *u_cat; /* [steps, sequences, length] */
    const uint8_t *editable; /* [sequences, length] or NULL */
    int rows_needed, rows_in_all;
};

static struct schedule_step step_at(const struct trajectory *trajectory, int step)
{
    if (trajectory->end == 1)
        return schedule_step_at(step, trajectory->n_steps, trajectory->exponent);
    float last = (float)trajectory->end;
    float from = (float)(1.0 / trajectory->n_steps * step);
    float to = step + 1 == trajectory->n_steps ? last : (float)(1.0 / trajectory->n_steps * (step + 1));
    struct schedule_step at = {.t = from, .h = to - from, .bound = -1};
    if (step + 1 < trajectory->n_steps)
        at.bound = schedule_bound(at.t, at.h, trajectory->exponent);
    return at;
}

static bool is_needed(const struct run *run, const struct schedule_step *at, int step, int row, int64_t id)
{
    int mask = run->model.weights.config.mask_token;
    if (run->editable && !run->editable[row])
        return false;
    if (at->bound < 0)
        return run->trajectory->revise || mask < 0 || id == mask;
    return run->u_jump[step * run->n_sequences * run->length + row] < schedule_jump_limit(at->bound);
}

static void plan_step(struct run *run, int step, const int64_t *ids)
{
    struct schedule_step at = step_at(run->trajectory, step);
    int n_rows = run->n_sequences * run->length, n = 0;
    const float *u_jump = run->u_jump + step * n_rows, *u_cat = run->u_cat + step * n_rows;
    for (int s = 0; s < run->n_sequences; s++) {
        int first = n;
        for (int row = s * run->length; row < (s + 1) * run->length; row++) {
            run->plan.ids[row] = (int32_t)ids[row];
            if (!is_needed(run, &at, step, row, ids[row]))
                continue;
            run->plan.needed[n] = row;
            run->plan.u_jump[n] = (double)u_jump[row];
            run->plan.u_draw[n++] = (double)u_cat[row];
        }
        run->plan.sequences[s] = (struct plan_sequence){.at = at,
                                                        .first_row = s * run->length,
                                                        .end_row = (s + 1) * run->length,
                                                        .first_needed = first,
                                                        .end_needed = n,
                                                        .inverse_temperature = 1,
                                                        .forbid_mask = run->trajectory->forbid_mask};
    }
    *run->plan.header = (struct plan_header){PLAN_STEP, run->n_sequences, n_rows, n};
    run->rows_needed += n;
    run->rows_in_all += n_rows;
}

/* Tokens that differ from the reference's after this step. */
static int take_step(struct run *run, int step, int64_t *ids)
{
    struct error error;
    plan_step(run, step, ids);
    if (model_step(&run->model, &run->plan, &error) != STATUS_OK)
        return 1000000;
    for (int i = 0; i < run->plan.header->n_needed; i++)
        if (run->model.sampler.sampled[i].token >= 0)
            ids[run->plan.needed[i]] = run->model.sampler.sampled[i].token;
    int n_rows = run->n_sequences * run->length, wrong = 0;
    for (int row = 0; row < n_rows; row++)
        wrong += ids[row] != run->tokens[(step + 1) * n_rows + row];
    return wrong;
}

static void open_run(struct run *run, const struct trajectory *trajectory)
{
    char file[96];
    struct error error;
    *run = (struct run){.trajectory = trajectory};
    golden_model(&run->model, trajectory->model, trajectory->exponent, ranks);
    snprintf(file, sizeof file, "traj_%s.safetensors", trajectory->name);
    run->golden = golden_open(file);
    const struct tensor *tokens = golden_tensor(run->golden, "tokens");
    const struct tensor *editable = tensors_find(run->golden, "edit_mask");
    run->tokens = tokens->data;
    run->n_sequences = (int)tokens->shape[1];
    run->length = (int)tokens->shape[2];
    run->u_jump = golden_f32(run->golden, "u_jump");
    run->u_cat = golden_f32(run->golden, "u_cat");
    run->editable = editable ? editable->data : NULL;
    ck_assert_int_eq((int)tokens->shape[0], trajectory->n_steps + 1);
    ck_assert_int_eq(plan_init(&run->plan, run->model.forward.limits, &error), STATUS_OK);
}

static void close_run(struct run *run)
{
    plan_release(&run->plan);
    tensors_close(run->golden);
    model_close(&run->model);
}

START_TEST(tokens_are_equal)
{
    struct run run;
    int64_t ids[256];
    int wrong = 0;
    open_run(&run, &trajectories[_i]);
    memcpy(ids, run.tokens, (size_t)(run.n_sequences * run.length) * sizeof *ids);
    for (int step = 0; step < run.trajectory->n_steps; step++)
        wrong += take_step(&run, step, ids);
    double worst = largest_of_ranks(ranks, wrong);
    if (ranks->rank == 0)
        printf("  %-36s %d wrong tokens; %d of %d rows needed logits\n", run.trajectory->name, (int)worst,
               run.rows_needed, run.rows_in_all);
    close_run(&run);
    ck_assert_msg(worst == 0, "%s: %g tokens differ from the reference's", trajectories[_i].name, worst);
}
END_TEST

Suite *mpi_suite(void)
{
    Suite *suite = suite_create("trajectory");
    TCase *cases = tcase_create("golden trajectories");
    tcase_add_loop_test(cases, tokens_are_equal, 0, (int)(sizeof trajectories / sizeof *trajectories));
    suite_add_tcase(suite, cases);
    return suite;
}
