#include <math.h>
#include <string.h>

#include "worker/verify/family_replay.h"

/* The samplers of the families, as passes: see the specification of each in docs/solvers.md. */

static const struct replay_step plain = {.nucleus = 1, .class = -1};

/* The recorded times [n + 1], and how far ours are from them. */
static const double *times(struct replay *replay, int n, bool are_ours)
{
    const struct array *t = golden_array(&replay->file, 1, (int64_t[]){-1}, "t");
    if (!t || t->n < n)
        return NULL;
    for (int i = 0; i < n && are_ours; i++) {
        replay->times = worse(replay->times, fabs(noise_time(&replay->model.weights.config, i, n) - t->x[i]));
        replay->n_times++;
    }
    return t->x;
}

static void set_law(struct replay_step *step, const struct move *move)
{
    memcpy(step->law, move->law, sizeof step->law);
    memcpy(step->limit, move->limit, sizeof step->limit);
}

static void posterior(const struct replay *replay, double t, double s, double kappa, struct replay_step *step)
{
    const struct model_config *config = &replay->model.weights.config;
    struct transition transition = {noise_at(config, t),
                                    s < 0 ? (struct noise_level){.alpha = 1} : noise_at(config, s), kappa};
    transition_law(config, &transition, step->law, step->limit);
}

/* A masked position is revealed with that probability. */
static void reveal(double probability, struct replay_step *step)
{
    step->law[0] = (struct row_law){.rule = ROW_MIXTURE, .mask = -1, .floor = 1, .from_p = probability};
    step->limit[0] = probability;
    step->limit[1] = 0;
}

static void every(const struct replay *replay, enum row_rule rule, struct replay_step *step)
{
    for (int i = 0; i < 2; i++) {
        step->law[i] = (struct row_law){.rule = (int32_t)rule, .mask = -1};
        step->limit[i] = i == 0 || replay->model.weights.config.source == SOURCE_UNIFORM;
    }
}

/* Positions that are revealed by one uniform and drawn by another. */
static enum status split_pass(struct replay *replay, struct replay_step *step, double probability, int pass,
                              struct error *error)
{
    const double *u_jump = replay_uniforms(replay, "u_jump", pass);
    step->u = replay_uniforms(replay, "u_cat", pass);
    if (!u_jump || !step->u)
        return golden_file_error(&replay->file, error);
    enum status status = replay_logits(replay, step->t, -1, error);
    const struct model_config *config = &replay->model.weights.config;
    for (int i = 0; i < replay->n_texts * replay->length && status == STATUS_OK; i++)
        if ((int)replay->x[i] == config->mask_token && u_jump[i] < probability) {
            family_softmax(replay->logits + (size_t)i * (size_t)config->n_ids, config->n_ids,
                           config->mask_token, replay->p);
            replay->x[i] = family_pick(replay->p, config->n_ids, step->u[i]);
        }
    if (status == STATUS_OK)
        replay_compare(replay);
    return status;
}

static enum status masked_step(struct replay *replay, const double *t, int i, struct error *error)
{
    const char *sampler = family_text_of(replay->entry, "sampler");
    const int n = (int)family_number(replay->entry, "n", 1);
    const double s = t[i] - (1 - family_number(replay->entry, "eps", 0)) / n;
    struct replay_step step = plain;
    step.t = t[i];
    if (!strcmp(sampler, "split"))
        return split_pass(replay, &step, (t[i] - s) / t[i], i, error);
    step.u = replay_uniforms(replay, "u_cat", i);
    if (!step.u)
        return golden_file_error(&replay->file, error);
    if (strcmp(sampler, "analytic") != 0) {
        posterior(replay, t[i], s, 1, &step);
    } else {
        struct move move;
        move_at(&replay->model.weights.config, SOLVER_ANALYTIC, replay->length, i, n, &move);
        set_law(&step, &move);
    }
    return replay_pass(replay, &step, error);
}

enum status replay_masked(struct replay *replay, struct error *error)
{
    const int n = (int)family_number(replay->entry, "n", 1);
    const bool usual = family_number(replay->entry, "eps", 0) == 1e-5;
    const double *t = times(replay, n, usual);
    enum status status = t ? STATUS_OK : golden_file_error(&replay->file, error);
    replay_compare(replay);
    for (int i = 0; i < n && status == STATUS_OK; i++)
        status = masked_step(replay, t, i, error);
    if (status != STATUS_OK || !json_is_true(json_object_get(replay->entry, "noise_removal")))
        return status;
    struct replay_step last = plain;
    const bool is_drawn = !strcmp(family_text_of(replay->entry, "sampler"), "analytic");
    last.u = is_drawn ? replay_uniforms(replay, "u_cat", n) : NULL;
    every(replay, is_drawn ? ROW_DRAWN : ROW_LIKELIEST, &last);
    return replay_pass(replay, &last, error);
}

/* MDLM's windows: each begins with what the one before it has beyond its stride. */
enum status replay_windows(struct replay *replay, struct error *error)
{
    const int n = (int)family_number(replay->entry, "steps_per_window", 1), length = replay->length,
              stride = (int)family_number(replay->entry, "stride", 1),
              n_windows = (int)family_number(replay->entry, "strides", 0) + 1;
    const struct array *text = golden_find(&replay->file, "text");
    const int whole = text ? (int)text->shape[text->n_dimensions - 1] : 0;
    enum status status = STATUS_OK;
    for (int window = 0, pass = 0; window < n_windows && status == STATUS_OK; window++) {
        for (int k = 0; k < replay->n_texts * length; k++) {
            const int at = k % length;
            replay->x[k] = window && at < length - stride ? replay->x[k + stride]
                                                          : replay->model.weights.config.mask_token;
        }
        for (int i = 0; i <= n && status == STATUS_OK; i++, pass++) {
            struct replay_step step = plain;
            const double t = 1 - (double)i / n;
            step.u = replay_uniforms(replay, "u_cat", pass);
            reveal(i == n ? 1 : 1.0 / n / t, &step);
            status = step.u ? replay_pass(replay, &step, error) : golden_file_error(&replay->file, error);
        }
        for (int k = 0; k < replay->n_texts * length && status == STATUS_OK; k++) {
            const int row = k / length, at = k % length;
            if (text && (at < stride || window + 1 == n_windows) && window * stride + at < whole)
                replay->n_wrong += replay->x[k] != text->x[row * whole + window * stride + at];
        }
    }
    return status;
}

/* Duo's last pass, or UDLM's none. */
static enum status last_uniform_pass(struct replay *replay, double t, int pass, struct error *error)
{
    const char *how = family_text_of(replay->entry, "noise_removal");
    struct replay_step step = plain;
    step.t = t;
    step.nucleus = family_number(replay->entry, "p_nucleus", 1);
    if (!how || !strcmp(how, "none"))
        return STATUS_OK;
    if (!strcmp(how, "greedy")) {
        every(replay, ROW_LIKELIEST, &step);
    } else {
        posterior(replay, t, -1, 1, &step);
        step.u = replay_uniforms(replay, "u_cat", pass);
        if (!step.u)
            return golden_file_error(&replay->file, error);
    }
    if (!strcmp(how, "greedy") || !golden_find(&replay->file, "u_kind"))
        return replay_pass(replay, &step, error);
    step.u_kind = replay_uniforms(replay, "u_kind", pass);
    step.u_other = replay_uniforms(replay, "u_unif", pass);
    return step.u_kind && step.u_other ? replay_pass(replay, &step, error)
                                       : golden_file_error(&replay->file, error);
}

static void read_guidance(const struct replay *replay, struct replay_step *step)
{
    const json_t *guidance = json_object_get(replay->entry, "guidance");
    if (!json_is_object(guidance))
        return;
    step->is_guided = true;
    step->guidance = family_number(guidance, "gamma", 1);
    step->class = step->guidance == 0 ? -1 : (int)family_number(guidance, "condition", -1);
}

static enum status uniform_step(struct replay *replay, const double *t, const struct array *kappa, int i,
                                struct error *error)
{
    struct replay_step step = plain;
    step.t = t[i];
    step.nucleus = family_number(replay->entry, "p_nucleus", 1);
    read_guidance(replay, &step);
    posterior(replay, t[i], t[i + 1], kappa ? kappa->x[i] : 1, &step);
    step.u = replay_uniforms(replay, "u_cat", i);
    if (golden_find(&replay->file, "u_kind")) {
        step.u_kind = replay_uniforms(replay, "u_kind", i);
        step.u_other = replay_uniforms(replay, "u_unif", i);
    }
    return replay->file.error.status ? golden_file_error(&replay->file, error)
                                     : replay_pass(replay, &step, error);
}

enum status replay_uniform(struct replay *replay, struct error *error)
{
    const int n = (int)family_number(replay->entry, "n", 1);
    const struct array *kappa = golden_find(&replay->file, "kappa");
    const bool usual = family_number(replay->entry, "eps", 0) == 1e-5 && !kappa;
    const double *t = times(replay, n, usual);
    enum status status = t ? STATUS_OK : golden_file_error(&replay->file, error);
    replay_compare(replay);
    for (int i = 0; i < n && status == STATUS_OK; i++)
        status = uniform_step(replay, t, kappa, i, error);
    return status ? status : last_uniform_pass(replay, t[n], n, error);
}

enum status replay_scores(struct replay *replay, struct error *error)
{
    const struct model_config *config = &replay->model.weights.config;
    const int n = (int)family_number(replay->entry, "n", 1);
    const double eps = family_number(replay->entry, "eps", 1e-5), h = (1 - eps) / n;
    const char *predictor = family_text_of(replay->entry, "predictor");
    const double *t = times(replay, n, eps == 1e-5);
    enum status status = t ? STATUS_OK : golden_file_error(&replay->file, error);
    const bool denoises = json_is_true(json_object_get(replay->entry, "denoise"));
    replay_compare(replay);
    for (int i = 0; i < n + denoises && status == STATUS_OK; i++) {
        struct replay_step step = plain;
        const double before = noise_at(config, t[i]).alpha, after = noise_at(config, t[i] - h).alpha;
        step.t = t[i];
        step.u = replay_uniforms(replay, "u_cat", i);
        if (i == n)
            every(replay, ROW_DRAWN, &step);
        else
            score_law(config, t[i], !strcmp(predictor, "analytic") ? after / before - 1 : h * 0.999 / before,
                      step.law, step.limit);
        status = step.u ? replay_pass(replay, &step, error) : golden_file_error(&replay->file, error);
    }
    return status;
}

/* GIDD: at a fixed time every position gets a proposal; the one whose proposal is most probable is taken. */
static enum status self_correction_pass(struct replay *replay, int pass, struct error *error)
{
    const struct model_config *config = &replay->model.weights.config;
    const double temperature = family_number(replay->entry, "temperature", 1);
    const double *u = replay_uniforms(replay, "u_cat", pass);
    enum status status = u ? replay_logits(replay, family_number(replay->entry, "t0", 0.01), -1, error)
                           : golden_file_error(&replay->file, error);
    for (int text = 0; text < replay->n_texts && status == STATUS_OK; text++) {
        int best = -1, token = 0;
        double largest = 0;
        for (int i = text * replay->length; i < (text + 1) * replay->length; i++) {
            float *logits = replay->logits + (size_t)i * (size_t)config->n_ids;
            for (int id = 0; id < config->n_ids; id++)
                logits[id] = (float)((double)logits[id] / temperature);
            family_softmax(logits, config->n_ids, config->mask_token, replay->p);
            const int y = family_pick(replay->p, config->n_ids, u[i]);
            if (y != (int)replay->x[i] && replay->p[y] > largest) {
                largest = replay->p[y];
                best = i;
                token = y;
            }
        }
        if (best >= 0)
            replay->x[best] = token;
    }
    if (status == STATUS_OK)
        replay_compare(replay);
    return status;
}

enum status replay_mixed(struct replay *replay, struct error *error)
{
    struct model_config *config = &replay->model.weights.config;
    const int n = (int)family_number(replay->entry, "n", 1);
    const bool corrects = json_object_get(replay->entry, "temperature"),
               is_right = json_is_true(json_object_get(replay->entry, "correct_grid"));
    enum status status = STATUS_OK;
    config->p_uniform = family_number(replay->entry, "p_uniform", config->p_uniform);
    replay_compare(replay);
    for (int i = 0; i < n && corrects && status == STATUS_OK; i++)
        status = self_correction_pass(replay, i, error);
    const struct array *t = corrects ? NULL : golden_array(&replay->file, 1, (int64_t[]){n + 1}, "t");
    if (corrects || !t)
        return status ? status : golden_file_error(&replay->file, error);
    for (int i = 0; i <= n; i++) { /* the file counts from text to noise */
        replay->times = worse(replay->times, fabs(noise_time(config, n - i, n) - t->x[i]));
        replay->n_times++;
    }
    for (int pass = 0, i = is_right ? n : n - 1; pass < n && status == STATUS_OK; pass++, i--) {
        struct replay_step step = plain;
        step.t = t->x[i];
        step.least = family_number(replay->entry, "min_p", 0);
        step.u = replay_uniforms(replay, "u_cat", pass);
        posterior(replay, t->x[i], t->x[i > 0 ? i - 1 : 0], 1, &step);
        status = step.u ? replay_pass(replay, &step, error) : golden_file_error(&replay->file, error);
    }
    return status;
}
