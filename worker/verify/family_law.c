#include "worker/verify/family.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/philox.h"
#include "worker/verify/chi_square.h"

/* The recorded laws are of float64; ours of float32 logits, which are 7e-6 apart. */
static const double law_tolerance = 2e-5, jump_tolerance = 1e-12, least_p_value = 1e-4;

enum { DRAWS = 2000, LAW_SEED = 20240601 };

/* A recorded law: the text, the times, and what the step does there. */
struct law_case {
    const struct golden *golden;
    struct golden_file file;
    struct model model;
    struct move move;
    const struct array *x, *law;
    float network_time;
    float *logits;
    double *p, *next;
    bool *needed;
    double *u_jump, *u_draw;
    struct sampled *sampled;
};

/* The step's law as the engine makes it, at the file's own times. */
static enum status make_move(struct law_case *it, const json_t *entry, struct error *error)
{
    struct model_config *config = &it->model.weights.config;
    const char *sampler = family_text_of(entry, "sampler");
    const struct array *t = golden_array(&it->file, 1, (int64_t[]){1}, "t");
    const struct array *s = golden_array(&it->file, 1, (int64_t[]){1}, "s");
    if (!t || !s)
        return golden_file_error(&it->file, error);
    config->p_uniform = family_number(entry, "p_uniform", config->p_uniform);
    const double n = family_number(entry, "n", 1), before = noise_at(config, t->x[0]).alpha;
    const struct transition transition = {noise_at(config, t->x[0]), noise_at(config, s->x[0]),
                                          family_number(entry, "kappa", 1)};
    it->network_time = noise_network_time(config, t->x[0]);
    it->move.end = (int)it->x->shape[1];
    if (sampler && !strcmp(sampler, "analytic"))
        score_law(config, t->x[0], transition.to.alpha / before - 1, it->move.law, it->move.limit);
    else if (sampler && !strcmp(sampler, "euler"))
        score_law(config, t->x[0], (1 - 1e-5) / n * 0.999 / before, it->move.law, it->move.limit);
    else if (sampler && !strcmp(sampler, "denoise"))
        move_at(config, SOLVER_ANALYTIC, it->move.end, 1, 1, &it->move);
    else
        transition_law(config, &transition, it->move.law, it->move.limit);
    if (config->block_size) /* only the last block is redrawn */
        it->move.first = it->move.end - config->block_size;
    return STATUS_OK;
}

static enum status open_case(struct law_case *it, const json_t *entry, struct error *error)
{
    it->x = golden_array(&it->file, 2, (int64_t[]){1, -1}, "x");
    const char *model = family_text_of(entry, "model");
    if (!it->x)
        return golden_file_error(&it->file, error);
    if (!model)
        return error_set(error, STATUS_INVALID_ARGUMENT, "manifest.json has no law of this name");
    const int length = (int)it->x->shape[1];
    enum status status = family_model_open(it->golden, model, 1, length, &it->model, error);
    if (status != STATUS_OK)
        return status;
    const int64_t n_ids = it->model.weights.config.n_ids;
    it->law = golden_array(&it->file, 3, (int64_t[]){1, length, n_ids}, "law_f64");
    it->p = calloc((size_t)n_ids, sizeof *it->p);
    it->next = calloc((size_t)(n_ids * length), sizeof *it->next);
    it->needed = calloc((size_t)length, sizeof *it->needed);
    if (!it->law)
        return golden_file_error(&it->file, error);
    it->u_jump = calloc((size_t)length, sizeof *it->u_jump);
    it->u_draw = calloc((size_t)length, sizeof *it->u_draw);
    it->sampled = calloc((size_t)length, sizeof *it->sampled);
    if (!it->p || !it->next || !it->needed || !it->u_jump || !it->u_draw || !it->sampled)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a law of %lld ids",
                         (long long)n_ids);
    return make_move(it, entry, error);
}

static void close_case(struct law_case *it)
{
    free(it->logits);
    free(it->p);
    free(it->next);
    free(it->needed);
    free(it->u_jump);
    free(it->u_draw);
    free(it->sampled);
    model_close(&it->model);
    golden_file_close(&it->file);
}

/* next[length, n_ids]: the law of every position, from our logits. Which positions can change at all. */
static void make_laws(struct law_case *it)
{
    const struct model_config *config = &it->model.weights.config;
    const int n_ids = config->n_ids, mask = config->source == SOURCE_MASK ? config->mask_token : -1;
    for (int i = 0; i < it->move.end; i++) {
        const int x = (int)it->x->x[i], kind = x != config->mask_token;
        double *next = it->next + (size_t)i * (size_t)n_ids;
        it->needed[i] = i >= it->move.first && it->move.limit[kind] > 0;
        const double log_total = family_softmax(it->logits + (size_t)i * (size_t)n_ids, n_ids, mask, it->p);
        if (it->needed[i])
            family_law(&it->move.law[kind], it->p, log_total, n_ids, x, next);
        else
            next[x] = 1;
    }
}

static void tell_law(const struct law_case *it, struct report *report)
{
    double largest = 0;
    for (int64_t i = 0; i < it->law->n; i++)
        largest = worse(largest, fabs(it->next[i] - it->law->x[i]));
    report_finding(report, &(struct finding){.file = it->file.name,
                                             .what = "law of the next token",
                                             .count = it->move.end,
                                             .unit = "positions",
                                             .value = largest,
                                             .limit = law_tolerance});
}

/* Counts[length, n_ids] of what the engine's own sampler makes of the text, with its own random numbers. */
static enum status count_draws(struct law_case *it, int64_t *counts, double *apart, struct error *error)
{
    const int length = it->move.end, n_ids = it->model.weights.config.n_ids;
    const struct family_text text = {it->x->x, length, it->network_time, -1};
    const struct family_draw draw = {{it->move.law[0], it->move.law[1]}, it->needed, it->u_jump, it->u_draw};
    enum status status = STATUS_OK;
    for (uint32_t round = 0; round < DRAWS && status == STATUS_OK; round++) {
        for (int i = 0; i < length; i++) {
            it->u_jump[i] = philox_uniform(LAW_SEED, round, (uint32_t)i, PHILOX_JUMP);
            it->u_draw[i] = philox_uniform(LAW_SEED, round, (uint32_t)i, PHILOX_DRAW);
        }
        status = family_sample(&it->model, &text, &draw, it->sampled, error);
        for (int i = 0; i < length && status == STATUS_OK; i++) {
            const int x = (int)it->x->x[i], kind = x != it->model.weights.config.mask_token;
            counts[(int64_t)i * n_ids + (it->sampled[i].token < 0 ? x : it->sampled[i].token)]++;
            if (it->needed[i]) /* exact thinning relies on this limit */
                *apart = worse(*apart, it->sampled[i].jump_probability - it->move.limit[kind]);
        }
    }
    return status;
}

static enum status check_own_draws(struct law_case *it, struct report *report, struct error *error)
{
    const int n_ids = it->model.weights.config.n_ids;
    int64_t *counts = calloc((size_t)(it->move.end * n_ids), sizeof *counts);
    struct chi_square chi_square = {0};
    double above = 0;
    if (!counts)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for counts");
    enum status status = count_draws(it, counts, &above, error);
    for (int i = 0; i < it->move.end && status == STATUS_OK; i++)
        if (it->needed[i])
            chi_square_add(&chi_square, counts + (int64_t)i * n_ids, it->law->x + (int64_t)i * n_ids, n_ids);
    free(counts);
    if (status != STATUS_OK)
        return status;
    report_finding(report, &(struct finding){.file = it->file.name,
                                             .what = "P(jump) above its limit",
                                             .count = it->move.end,
                                             .unit = "positions",
                                             .value = above,
                                             .limit = jump_tolerance});
    if (chi_square.degrees)
        report_finding(report, &(struct finding){.file = it->file.name,
                                                 .what = "our draws, chi-square's P",
                                                 .count = DRAWS,
                                                 .unit = "texts",
                                                 .value = chi_square_p_value(&chi_square),
                                                 .limit = least_p_value,
                                                 .at_least = true});
    return STATUS_OK;
}

enum status check_family_law(const struct golden *golden, const char *name, struct report *report,
                             struct error *error)
{
    struct law_case it = {.golden = golden};
    enum status status = golden_file_open(&it.file, golden, name, error);
    if (status != STATUS_OK)
        return status;
    status = open_case(&it, family_entry(golden, "laws", name, "law_"), error);
    const struct family_text text = {it.x ? it.x->x : NULL, it.move.end, it.network_time, -1};
    if (status == STATUS_OK)
        status = family_logits(&it.model, &text, 1, &it.logits, error);
    if (status == STATUS_OK) {
        make_laws(&it);
        tell_law(&it, report);
        status = check_own_draws(&it, report, error);
    }
    close_case(&it);
    return status;
}

/* The reference's own draws, against the law that is recorded beside them. */
enum status check_family_draws(const struct golden *golden, const char *name, struct report *report,
                               struct error *error)
{
    struct golden_file file;
    struct chi_square chi_square = {0};
    enum status status = golden_file_open(&file, golden, name, error);
    if (status != STATUS_OK)
        return status;
    const struct array *counts = golden_array(&file, 2, (int64_t[]){-1, -1}, "counts");
    const struct array *law = counts ? golden_array(&file, 2, counts->shape, "law_f64") : NULL;
    const struct array *skip = golden_find(&file, "skip");
    const int n = counts ? (int)counts->shape[1] : 0;
    int64_t *row = calloc((size_t)n + 1, sizeof *row);
    for (int i = 0; law && row && i < counts->shape[0]; i++) {
        for (int k = 0; k < n; k++)
            row[k] = (int64_t)counts->x[(int64_t)i * n + k];
        if (!skip || skip->x[i] == 0)
            chi_square_add(&chi_square, row, law->x + (int64_t)i * n, n);
    }
    free(row);
    status = golden_file_error(&file, error);
    if (status == STATUS_OK)
        report_finding(report, &(struct finding){.file = name,
                                                 .what = "the reference's draws, chi-square's P",
                                                 .count = chi_square.degrees,
                                                 .unit = "degrees",
                                                 .value = chi_square_p_value(&chi_square),
                                                 .limit = least_p_value,
                                                 .at_least = true});
    golden_file_close(&file);
    return status;
}
