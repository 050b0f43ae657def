#include <math.h>
#include <string.h>

#include "worker/verify/family_replay.h"

/* BD3-LM's samplers: block after block of the text. */

static int count_masked(const struct replay *replay, int first)
{
    int n = 0;
    for (int i = first; i < replay->length; i++)
        n += (int)replay->x[i] == replay->model.weights.config.mask_token;
    return n;
}

/* The text is as long as its blocks so far; the recorded one says -1 behind that. */
static void compare_so_far(struct replay *replay)
{
    const int whole = (int)replay->tokens->shape[1];
    const double *expected = replay->tokens->x + (ptrdiff_t)replay->frame++ * whole;
    for (int i = 0; i < whole; i++)
        replay->n_wrong += (i < replay->length ? replay->x[i] : -1) != expected[i];
}

/* Draws the position that was picked among the masked ones. */
static enum status hit(struct replay *replay, int first, int pass, const double *u, struct error *error)
{
    const struct model_config *config = &replay->model.weights.config;
    const struct array *pick = golden_array(&replay->file, 1, (int64_t[]){-1}, "pick");
    if (!pick || pass >= pick->shape[0])
        return golden_file_error(&replay->file, error);
    int left = (int)pick->x[pass], at = first;
    while (at < replay->length && ((int)replay->x[at] != config->mask_token || left-- > 0))
        at++;
    enum status status = replay_logits(replay, 0, -1, error);
    if (status != STATUS_OK || at == replay->length)
        return status;
    family_softmax(replay->logits + (size_t)at * (size_t)config->n_ids, config->n_ids, config->mask_token,
                   replay->p);
    replay->x[at] = family_pick(replay->p, config->n_ids, u[at - first]);
    return STATUS_OK;
}

/* Where the reference's last time is 0 its law is infinite, and every position still masked becomes id 0. */
static void fill_with_zeros(struct replay *replay, int first)
{
    for (int i = first; i < replay->length; i++)
        if ((int)replay->x[i] == replay->model.weights.config.mask_token)
            replay->x[i] = 0;
}

static enum status reveal_some(struct replay *replay, int first, double probability, const double *u,
                               struct error *error)
{
    const struct model_config *config = &replay->model.weights.config;
    const struct row_law law = {.rule = ROW_MIXTURE, .mask = -1, .floor = 1, .from_p = fmin(probability, 1)};
    const double *before = replay->x;
    enum status status = replay_logits(replay, 0, -1, error);
    for (int i = first; i < replay->length && status == STATUS_OK; i++) {
        if ((int)before[i] != config->mask_token)
            continue;
        const double log_total = family_softmax(replay->logits + (size_t)i * (size_t)config->n_ids,
                                                config->n_ids, config->mask_token, replay->p);
        family_law(&law, replay->p, log_total, config->n_ids, config->mask_token, replay->law);
        replay->x[i] = family_pick(replay->law, config->n_ids, u[i - first]);
    }
    return status;
}

/* One update of the newest block; `step` is its number within the block. */
static enum status update(struct replay *replay, int first, int step, int pass, struct error *error)
{
    const int block = replay->model.weights.config.block_size,
              n = (int)family_number(replay->entry, "steps_per_block", 1);
    const struct array *u = golden_array(&replay->file, 3, (int64_t[]){-1, 1, block}, "u_cat");
    if (!u || pass >= u->shape[0] || replay->frame >= replay->tokens->shape[0])
        return error_set(error, STATUS_INVALID_ARGUMENT, "has fewer updates than its sampler makes");
    const double *now = u->x + (ptrdiff_t)pass * block;
    if (json_is_true(json_object_get(replay->entry, "first_hitting")))
        return hit(replay, first, pass, now, error);
    const bool is_right = json_is_true(json_object_get(replay->entry, "correct_grid"));
    const double t = is_right ? 1 - (double)step / n : 1 - (double)step / (n - 1);
    if (t > 0)
        return reveal_some(replay, first, is_right ? 1.0 / (n - step) : 1 - (t - 1.0 / n) / t, now, error);
    fill_with_zeros(replay, first);
    replay->n_passes++;
    return STATUS_OK;
}

enum status replay_blocks(struct replay *replay, struct error *error)
{
    const struct model_config *config = &replay->model.weights.config;
    const int whole = (int)replay->tokens->shape[1],
              n = (int)family_number(replay->entry, "steps_per_block", 1);
    enum status status = STATUS_OK;
    replay->n_texts = 1;
    for (int first = 0, pass = 0; first < whole && status == STATUS_OK; first += config->block_size) {
        replay->length = first + config->block_size;
        for (int i = first; i < replay->length; i++)
            replay->x[i] = i ? config->mask_token : family_number(replay->entry, "bos", 0);
        for (int step = 0; step < n && count_masked(replay, first) && status == STATUS_OK; step++, pass++) {
            status = update(replay, first, step, pass, error);
            if (status == STATUS_OK)
                compare_so_far(replay);
        }
    }
    if (status == STATUS_OK && replay->frame != replay->tokens->shape[0])
        return error_set(error, STATUS_INVALID_ARGUMENT, "has %lld updates; the sampler made %d",
                         (long long)replay->tokens->shape[0], replay->frame);
    return status;
}
