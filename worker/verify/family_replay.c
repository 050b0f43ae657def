#include "worker/verify/family_replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXTS_MAX = 64 };

enum status replay_logits(struct replay *replay, double t, int class, struct error *error)
{
    struct family_text texts[TEXTS_MAX];
    const struct model_config *config = &replay->model.weights.config;
    for (int i = 0; i < replay->n_texts && i < TEXTS_MAX; i++)
        texts[i] = (struct family_text){replay->x + (ptrdiff_t)i * replay->length, replay->length,
                                        noise_network_time(config, t), class};
    free(replay->logits);
    replay->logits = NULL;
    replay->n_passes++;
    if (replay->n_texts > TEXTS_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "more than %d texts", TEXTS_MAX);
    return family_logits(&replay->model, texts, replay->n_texts, &replay->logits, error);
}

static int mask_of(const struct model_config *config)
{
    return config->source == SOURCE_MASK ? config->mask_token : -1;
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return a < b ? 1 : a > b ? -1 : 0;
}

/* Keeps the most probable ids until their mass passes `top`; the one that passes it is kept. */
static void cut_nucleus(double *p, double *sorted, int n_ids, double top)
{
    double before = 0, least = 0, kept = 0;
    memcpy(sorted, p, (size_t)n_ids * sizeof *p);
    qsort(sorted, (size_t)n_ids, sizeof *sorted, compare_doubles);
    for (int i = 0; i < n_ids && before <= top; i++) {
        least = sorted[i];
        before += sorted[i];
    }
    for (int i = 0; i < n_ids; i++)
        kept += p[i] = p[i] >= least ? p[i] : 0;
    for (int i = 0; i < n_ids; i++)
        p[i] /= kept;
}

/* law = softmax(w ln law + (1 - w) ln other): two posteriors are weighed. */
static void guide(double *law, const double *other, int n_ids, double weight)
{
    double sum = 0;
    for (int i = 0; i < n_ids; i++)
        sum += law[i] = exp(weight * log(law[i]) + (1 - weight) * log(other[i]));
    for (int i = 0; i < n_ids; i++)
        law[i] /= sum;
}

/* Fills replay->p and replay->law of a position. */
static void make_law(struct replay *replay, const struct replay_step *step, const float *logits, int x,
                     double *law)
{
    const struct model_config *config = &replay->model.weights.config;
    const double log_total = family_softmax(logits, config->n_ids, mask_of(config), replay->p);
    if (step->nucleus < 1)
        cut_nucleus(replay->p, law, config->n_ids, step->nucleus);
    family_law(&step->law[x != config->mask_token], replay->p, log_total, config->n_ids, x, law);
    for (int i = 0; i < config->n_ids; i++)
        law[i] = law[i] < step->least ? 0 : law[i];
}

/* By three uniforms: keep, from p, or noise. */
static int pick_of_mixture(const struct replay *replay, const struct replay_step *step, int position, int x)
{
    const struct model_config *config = &replay->model.weights.config;
    const struct row_law *law = &step->law[x != config->mask_token];
    const double q = law->share * replay->p[x] + law->floor, from_p = law->from_p / q,
                 noise = law->noise / q + law->noise_always, u = step->u_kind[position];
    if (u < 1 - from_p - noise)
        return x;
    if (u < 1 - noise)
        return family_pick(replay->p, config->n_ids, step->u[position]);
    const int id = (int)(step->u_other[position] * config->n_ids);
    return id < config->n_ids ? id : config->n_ids - 1;
}

static double running_sum(const double *p, int token)
{
    double sum = 0;
    for (int i = 0; i < token; i++)
        sum += p[i];
    return sum + p[token] / 2;
}

/*
 * Uniforms by which the engine's own sampler must come to the wanted token: by its law a token that is kept,
 * one that is drawn from p, or noise.
 */
static void realise(struct replay *replay, const struct replay_step *step, int position, int x, int token,
                    double log_total)
{
    const struct model_config *config = &replay->model.weights.config;
    const struct row_law *law = &step->law[x != config->mask_token];
    const double q = law->share * replay->p[x] + law->floor;
    double from_p = 1, noise = 0;
    if (law->rule == ROW_MIXTURE) {
        from_p = law->from_p / q;
        noise = law->noise / q + law->noise_always;
    } else if (law->rule == ROW_SCORE) {
        from_p = exp(fmin(law->log_scale + log_total, 0));
    }
    const bool is_noise = replay->p[token] < 1e-5 && noise > 0; /* float32 sums have no room for it */
    const double jump = from_p + noise,
                 in_noise = token == law->mask
                                ? law->mask_share / 2
                                : law->mask_share + (1 - law->mask_share) * (token + 0.5) / law->n_noise;
    const bool is_kept = token == x && 1 - jump > from_p * replay->p[x];
    replay->u_jump[position] = is_kept ? (1 + jump) / 2 : is_noise ? noise / 2 : noise + from_p / 2;
    replay->u_draw[position] = is_noise ? in_noise : running_sum(replay->p, token);
}

/* The wanted token of a position. */
static void want(struct replay *replay, const struct replay_step *step, const float *others, int position)
{
    const struct model_config *config = &replay->model.weights.config;
    const int n_ids = config->n_ids, x = (int)replay->x[position];
    const struct row_law *law = &step->law[x != config->mask_token];
    const float *logits = replay->logits + (size_t)position * (size_t)n_ids;
    if (others) {
        make_law(replay, step, others + (size_t)position * (size_t)n_ids, x, replay->other);
        make_law(replay, step, logits, x, replay->law);
        guide(replay->law, replay->other, n_ids, step->guidance);
    } else {
        make_law(replay, step, logits, x, replay->law);
    }
    if (law->rule == ROW_LIKELIEST)
        replay->wanted[position] = family_likeliest(replay->p, n_ids);
    else if (step->u_kind)
        replay->wanted[position] = pick_of_mixture(replay, step, position, x);
    else
        replay->wanted[position] = family_pick(replay->law, n_ids, step->u[position]);
    realise(replay, step, position, x, replay->wanted[position],
            family_softmax(logits, n_ids, mask_of(config), replay->p));
}

/* Lets the engine's own sampler draw, and counts where it differs from what is wanted. */
static enum status draw(struct replay *replay, const struct replay_step *step, int text, struct error *error)
{
    const int first = text * replay->length;
    const struct family_text of = {replay->x + first, replay->length,
                                   noise_network_time(&replay->model.weights.config, step->t), step->class};
    const struct family_draw draw = {
        {step->law[0], step->law[1]}, replay->needed + first, replay->u_jump + first, replay->u_draw + first};
    bool any = false;
    for (int i = 0; i < replay->length; i++)
        any |= replay->needed[first + i];
    if (!any)
        return STATUS_OK;
    enum status status = family_sample(&replay->model, &of, &draw, replay->sampled, error);
    for (int i = 0; i < replay->length && status == STATUS_OK; i++) {
        const int token = replay->sampled[i].token < 0 ? (int)replay->x[first + i] : replay->sampled[i].token;
        replay->n_drawn += replay->needed[first + i];
        replay->n_refuted += replay->needed[first + i] && token != replay->wanted[first + i];
    }
    return status;
}

void replay_compare(struct replay *replay)
{
    const int n = replay->n_texts * replay->length;
    const double *expected = replay->tokens->x + (ptrdiff_t)replay->frame++ * n;
    for (int i = 0; i < n; i++)
        replay->n_wrong += replay->x[i] != expected[i];
}

/* Finds which positions the pass can change, and what they change to. */
static void want_all(struct replay *replay, const struct replay_step *step, const float *others)
{
    const struct model_config *config = &replay->model.weights.config;
    for (int i = 0; i < replay->n_texts * replay->length; i++) {
        const bool may_be_written = !replay->editable || replay->editable->x[i] != 0;
        replay->needed[i] = may_be_written && step->limit[(int)replay->x[i] != config->mask_token] > 0;
        if (replay->needed[i])
            want(replay, step, others, i);
    }
}

enum status replay_pass(struct replay *replay, const struct replay_step *step, struct error *error)
{
    float *others = NULL;
    const bool two = step->is_guided && step->guidance != 0 && step->guidance != 1;
    const bool is_engines = step->nucleus >= 1 && step->least <= 0 && !two;
    enum status status = replay_logits(replay, step->t, two ? -1 : step->class, error);
    if (status == STATUS_OK && two) {
        others = replay->logits;
        replay->logits = NULL;
        status = replay_logits(replay, step->t, step->class, error);
    }
    if (status == STATUS_OK)
        want_all(replay, step, others);
    for (int text = 0; text < replay->n_texts && is_engines && status == STATUS_OK; text++)
        status = draw(replay, step, text, error);
    free(others);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < replay->n_texts * replay->length; i++)
        if (replay->needed[i])
            replay->x[i] = replay->wanted[i];
    replay_compare(replay);
    return STATUS_OK;
}

const double *replay_uniforms(struct replay *replay, const char *name, int pass)
{
    const struct array *all =
        golden_array(&replay->file, 3, (int64_t[]){-1, replay->n_texts, replay->length}, "%s", name);
    if (all && pass < all->shape[0])
        return all->x + (ptrdiff_t)pass * replay->n_texts * replay->length;
    if (all && replay->file.error.status == STATUS_OK)
        error_set(&replay->file.error, STATUS_INVALID_ARGUMENT, "%s: has no pass %d", name, pass);
    return NULL;
}
