#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/verify/checks.h"
#include "worker/verify/law.h"
#include "worker/verify/rules.h"

/* The recorded laws are float32 widened to float64. */
static const double law_tolerance = 2e-6;

/*
 * One way of ending a text: SOURCE.p, SOURCE.x_t, WAY.q_f64, WAY.x_out_argmax and, with an edit mask,
 * WAY.edit, where WAY is SOURCE or SOURCE.sample_masked.*. The names say which: "uniform", "mask" (the last
 * token is the mask), "unmask_change", "mask_token_id_set".
 */
struct ending {
    const char *way;
    int source_length; /* of its name, which WAY begins with */
    struct rules rules;
    int n_rows, n_ids;
    const struct array *p, *ids, *law, *written, *editable;
};

struct ending_totals {
    int n_endings, n_laws, n_positions, n_wrong, n_undefined;
    double law;
};

static enum status read_ending(struct golden_file *file, const char *way, struct ending *it,
                               struct error *error)
{
    const char *dot = strchr(way, '.');
    *it = (struct ending){.way = way, .source_length = dot ? (int)(dot - way) : (int)strlen(way)};
    it->p = golden_array(file, 3, (int64_t[]){-1, -1, -1}, "%.*s.p", it->source_length, way);
    if (!it->p)
        return golden_file_error(file, error);
    const int64_t *shape = it->p->shape;
    it->n_ids = (int)shape[2];
    it->n_rows = (int)(shape[0] * shape[1]);
    it->ids = golden_array(file, 2, shape, "%.*s.x_t", it->source_length, way);
    it->law = golden_array(file, 3, shape, "%s.q_f64", way);
    it->written = golden_array(file, 2, shape, "%s.x_out_argmax", way);
    if (golden_find(file, "%s.edit", way))
        it->editable = golden_array(file, 2, shape, "%s.edit", way);
    it->rules = (struct rules){.solver = SOLVER_CUMULATIVE,
                               .exponent = 1,
                               .n_asked = 1,
                               .mask_token = name_begins(way, "mask") ? it->n_ids - 1 : -1,
                               .revise = strstr(way, "unmask_change") != NULL,
                               .has_edit_mask = it->editable != NULL,
                               .bans_mask = strstr(way, "mask_token_id_set") != NULL};
    rules_complete(&it->rules);
    return golden_file_error(file, error);
}

/* False for a law without mass. Where all mass is on a token that may not be drawn, the reference divides by
 * zero. */
static bool is_defined(const double *law, int n)
{
    for (int i = 0; i < n; i++) {
        if (law[i] > 0)
            return true;
    }
    return false;
}

/* A uniform in the middle of the likeliest token's interval. */
static double middle_of_likeliest(const double *law, int n)
{
    int best = 0;
    double before = 0, total = 0;
    for (int i = 0; i < n; i++)
        best = law[i] > law[best] ? i : best;
    for (int i = 0; i < n; i++) {
        before += i < best ? law[i] : 0;
        total += law[i];
    }
    return (before + law[best] / 2) / total;
}

/* Finds the position's new token: a rule says whether it may be overwritten, and the sampler draws. */
static enum status write_position(struct lookup *lookup, const struct ending *it,
                                  const struct rules_step *step, int position, struct lookup_row row,
                                  int *token, struct error *error)
{
    const struct sampled *sampled;
    bool editable = !it->editable || it->editable->x[position] != 0;
    const double *law = it->law->x + position * it->n_ids;
    *token = row.id;
    if (!rules_need(&it->rules, step, editable, row.id, 0))
        return STATUS_OK;
    row.u_draw = is_defined(law, it->n_ids) ? middle_of_likeliest(law, it->n_ids) : 0.5;
    lookup_add(lookup, &row);
    enum status status = lookup_run(lookup, &sampled, error);
    *token = status == STATUS_OK ? sampled[0].token : -1;
    return status;
}

static enum status compare_position(struct lookup *lookup, const struct ending *it, int position,
                                    struct ending_totals *totals, struct error *error)
{
    double *logits = malloc((size_t)it->n_ids * sizeof *logits);
    const double *law = it->law->x + position * it->n_ids;
    const struct rules_step step = rules_step(&it->rules, 0);
    const struct lookup_row row = {.logits = logits,
                                   .id = (int32_t)it->ids->x[position],
                                   .bound = step.at.bound,
                                   .forbid_mask = step.forbid_mask};
    int token;
    if (!logits)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d tokens", it->n_ids);
    for (int i = 0; i < it->n_ids; i++)
        logits[i] = lookup_logit(it->p->x[position * it->n_ids + i]);
    enum status status = write_position(lookup, it, &step, position, row, &token, error);
    bool defined = is_defined(law, it->n_ids);
    if (status == STATUS_OK && defined)
        status = law_compare(lookup, &row, law, &totals->law, error);
    free(logits);
    totals->n_positions++;
    totals->n_laws += defined;
    totals->n_undefined += !defined;
    bool redrawn_from_nothing = !defined && token != row.id;
    if (redrawn_from_nothing) /* the reference has NaN; we accept any token but the forbidden one */
        totals->n_wrong += token < 0 || token == it->rules.mask_token;
    else if (defined || token != it->rules.mask_token)
        totals->n_wrong += token != (int)it->written->x[position];
    return status;
}

static enum status compare_ending(const struct golden *golden, struct golden_file *file, const char *way,
                                  struct ending_totals *totals, struct error *error)
{
    struct ending it;
    struct lookup lookup;
    enum status status = read_ending(file, way, &it, error);
    if (status == STATUS_OK)
        status = golden_check_ids(file, it.ids, it.n_ids, error);
    if (status == STATUS_OK)
        status = lookup_open(&lookup, golden, it.n_ids, it.rules.mask_token, error);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < it.n_rows && status == STATUS_OK; i++)
        status = compare_position(&lookup, &it, i, totals, error);
    totals->n_endings++;
    lookup_close(&lookup);
    return status;
}

static void tell(struct report *report, const char *file, const struct ending_totals *totals)
{
    char note[128];
    snprintf(note, sizeof note,
             "%d more have all mass on the mask: NaN in the reference, another token than the mask here",
             totals->n_undefined);
    report_finding(report, &(struct finding){.file = file,
                                             .what = "law of the last step",
                                             .count = totals->n_laws,
                                             .unit = "laws",
                                             .value = totals->law,
                                             .limit = law_tolerance,
                                             .note = totals->n_undefined ? note : NULL});
    report_finding(report, &(struct finding){.file = file,
                                             .what = "wrongly written or kept",
                                             .count = totals->n_positions,
                                             .unit = "positions",
                                             .value = totals->n_wrong});
}

enum status check_final_step(const struct golden *golden, const char *name, struct report *report,
                             struct error *error)
{
    struct golden_file file;
    struct ending_totals totals = {0};
    enum status status = golden_file_open(&file, golden, name, error);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < tensors_count(file.tensors) && status == STATUS_OK; i++) {
        char way[128];
        const char *tensor = tensors_at(file.tensors, i)->name;
        if (!name_ends(tensor, ".q_f64"))
            continue;
        snprintf(way, sizeof way, "%.*s", (int)(strlen(tensor) - strlen(".q_f64")), tensor);
        status = compare_ending(golden, &file, way, &totals, error);
    }
    if (status == STATUS_OK && totals.n_endings == 0)
        status = error_set(error, STATUS_INVALID_ARGUMENT, "there is no law (*.q_f64) in it");
    if (status == STATUS_OK)
        tell(report, name, &totals);
    golden_file_close(&file);
    return status;
}
