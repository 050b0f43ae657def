#include <stdlib.h>
#include <string.h>

#include "worker/verify/family_replay.h"
#include "common/model/network.h"

/* Times are float32 in the reference. */
static const double time_tolerance = 1e-6;

static const struct sampler_of {
    enum architecture architecture;
    enum status (*run)(struct replay *replay, struct error *error);
} samplers[] = {{ARCHITECTURE_MDLM, replay_masked},  {ARCHITECTURE_DUO, replay_uniform},
                {ARCHITECTURE_UDLM, replay_uniform}, {ARCHITECTURE_SEDD, replay_scores},
                {ARCHITECTURE_GIDD, replay_mixed},   {ARCHITECTURE_BD3LM, replay_blocks}};

static bool is_blocks(const struct replay *replay)
{
    return json_object_get(replay->entry, "steps_per_block") != NULL;
}

/* A file with a defect of the reference holds what is right, too. */
static enum status find_tokens(struct replay *replay, struct error *error)
{
    const char *name = golden_find(&replay->file, "tokens_right") ? "tokens_right" : "tokens";
    const bool windows = json_object_get(replay->entry, "strides") != NULL;
    replay->tokens =
        golden_array(&replay->file, is_blocks(replay) ? 2 : 3, (int64_t[]){-1, -1, -1}, "%s", name);
    if (!replay->tokens)
        return golden_file_error(&replay->file, error);
    const int64_t *shape = replay->tokens->shape;
    replay->n_texts = is_blocks(replay) ? 1 : (int)shape[1];
    replay->length = (int)shape[replay->tokens->n_dimensions - 1];
    if (golden_find(&replay->file, "edit_mask"))
        replay->editable =
            golden_array(&replay->file, 2, (int64_t[]){replay->n_texts, replay->length}, "edit_mask");
    if (!is_blocks(replay) && !windows)
        golden_array(&replay->file, 2, (int64_t[]){replay->n_texts, replay->length}, "x_init");
    return golden_file_error(&replay->file, error);
}

static enum status make_room(struct replay *replay, struct error *error)
{
    const size_t n = (size_t)(replay->n_texts * replay->length),
                 n_ids = (size_t)replay->model.weights.config.n_ids;
    const struct array *start = golden_find(&replay->file, "x_init");
    replay->x = calloc(n, sizeof *replay->x);
    replay->p = calloc(n_ids, sizeof *replay->p);
    replay->law = calloc(n_ids, sizeof *replay->law);
    replay->other = calloc(n_ids, sizeof *replay->other);
    replay->u_jump = calloc(n, sizeof *replay->u_jump);
    replay->u_draw = calloc(n, sizeof *replay->u_draw);
    replay->wanted = calloc(n, sizeof *replay->wanted);
    replay->needed = calloc(n, sizeof *replay->needed);
    replay->sampled = calloc((size_t)replay->length, sizeof *replay->sampled);
    if (!replay->x || !replay->p || !replay->law || !replay->other || !replay->u_jump || !replay->u_draw ||
        !replay->wanted || !replay->needed || !replay->sampled)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu positions", n);
    if (start)
        memcpy(replay->x, start->x, n * sizeof *replay->x);
    return STATUS_OK;
}

static void release(struct replay *replay)
{
    void *const owned[] = {replay->x,      replay->p,      replay->law,    replay->other,   replay->u_jump,
                           replay->u_draw, replay->wanted, replay->needed, replay->sampled, replay->logits};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    model_close(&replay->model);
    golden_file_close(&replay->file);
}

static enum status run(struct replay *replay, struct error *error)
{
    if (json_object_get(replay->entry, "strides"))
        return replay_windows(replay, error);
    for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++)
        if (samplers[i].architecture == replay->model.weights.config.architecture)
            return samplers[i].run(replay, error);
    return error_set(error, STATUS_INVALID_ARGUMENT, "no sampler for a %s model",
                     architecture_name(replay->model.weights.config.architecture));
}

static void tell(const struct replay *replay, struct report *report)
{
    const struct {
        const char *what, *unit;
        int count;
        double value, limit;
    } rows[] = {{"wrong tokens", "frames", replay->frame, replay->n_wrong, 0},
                {"drawn otherwise by our sampler", "draws", replay->n_drawn, replay->n_refuted, 0},
                {"times", "times", replay->n_times, replay->times, time_tolerance}};
    const bool right = golden_find(&((struct replay *)replay)->file, "tokens_right");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].count)
            report_finding(report, &(struct finding){.file = replay->file.name,
                                                     .what = rows[i].what,
                                                     .count = rows[i].count,
                                                     .unit = rows[i].unit,
                                                     .value = rows[i].value,
                                                     .limit = rows[i].limit,
                                                     .note = right ? "tokens_right: the reference reuses a "
                                                                     "network's output of an older time"
                                                                   : NULL});
}

enum status check_family_trajectory(const struct golden *golden, const char *name, struct report *report,
                                    struct error *error)
{
    struct replay replay = {.golden = golden, .entry = family_entry(golden, "trajectories", name, "traj_")};
    const char *model = family_text_of(replay.entry, "model");
    if (!model)
        return error_set(error, STATUS_INVALID_ARGUMENT, "manifest.json has no trajectory of this name");
    enum status status = golden_file_open(&replay.file, golden, name, error);
    if (status != STATUS_OK)
        return status;
    status = find_tokens(&replay, error);
    if (status == STATUS_OK)
        status = family_model_open(golden, model, replay.n_texts, replay.length, &replay.model, error);
    if (status == STATUS_OK)
        status = make_room(&replay, error);
    if (status == STATUS_OK)
        status = run(&replay, error);
    if (status == STATUS_OK)
        tell(&replay, report);
    release(&replay);
    return status;
}
