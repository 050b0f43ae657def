#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/philox.h"
#include "worker/verify/checks.h"
#include "worker/verify/chi_square.h"
#include "worker/verify/law.h"
#include "worker/verify/rules.h"

/*
 * Tests our random numbers, through the worker's rules and sampler, against laws that are known exactly. It
 * makes as many draws as the reference did. The seeds are fixed, so a p-value that is good once is good
 * always.
 */
static const double least_p_value = 1e-4;

/* The places of a row's uniforms: draw d of position j is position d·n + j of a text with this seed. */
struct stream {
    uint64_t seed;
    uint32_t step;
};

static void draw_uniforms(struct stream stream, uint32_t position, struct lookup_row *row)
{
    row->u_jump = philox_uniform(stream.seed, stream.step, position, PHILOX_JUMP);
    row->u_draw = philox_uniform(stream.seed, stream.step, position, PHILOX_DRAW);
}

/* One law of the file, NAME.counts and NAME.exact_f64, as its name says: step.SOLVER.expE.tT.hH or
 * chain.SOLVER.expE.SOURCE. */
struct law {
    const char *name;
    struct rules rules;
    uint64_t seed;
    const struct array *exact, *counts;
    int n_ids, n_positions;
    int64_t n_draws;
    int32_t *tokens; /* [n_draws, n_positions]: the current tokens */
};

struct draw_totals {
    int n_steps, n_chains;
    double least_step, least_chain; /* p-values */
};

/* "exp" and the number after it, wherever it ends: "exp1.t0.5" has 1, "t0.5.h0.25" has 0.5. Numbers are
 * followed by a dot and a letter, or by nothing. */
static double number_after(const char *name, const char *mark)
{
    char digits[32] = "";
    const char *at = strstr(name, mark);
    if (!at)
        return NAN;
    at += strlen(mark);
    size_t n = strspn(at, "0123456789.-e");
    while (n > 0 && at[n - 1] == '.')
        n--;
    snprintf(digits, sizeof digits, "%.*s", (int)n, at);
    return *digits ? atof(digits) : NAN;
}

static enum status read_law(struct golden_file *file, const char *name, struct law *law, struct error *error)
{
    char solver[32] = "";
    *law = (struct law){.name = name, .rules = {.mask_token = -1}};
    sscanf(name, "%*[^.].%31[^.]", solver);
    enum status status = rules_solver(solver, &law->rules.solver, error);
    law->rules.exponent = number_after(name, ".exp");
    if (status == STATUS_OK && !(law->rules.exponent > 0))
        status = error_set(error, STATUS_INVALID_ARGUMENT, "%s: no exponent in its name", name);
    law->exact = golden_find(file, "%s.exact_f64", name);
    if (status != STATUS_OK || !law->exact || law->exact->n_dimensions < 1)
        return status != STATUS_OK ? status
                                   : error_set(error, STATUS_INVALID_ARGUMENT, "%s: no exact_f64", name);
    law->counts = golden_array(file, law->exact->n_dimensions, law->exact->shape, "%s.counts", name);
    if (!law->counts)
        return golden_file_error(file, error);
    law->n_ids = (int)law->exact->shape[law->exact->n_dimensions - 1];
    law->n_positions = law->n_ids ? (int)(law->exact->n / law->n_ids) : 0;
    for (int i = 0; i < law->n_ids; i++)
        law->n_draws += (int64_t)law->counts->x[i];
    law->tokens = calloc((size_t)law->n_draws * (size_t)law->n_positions, sizeof *law->tokens);
    return law->tokens ? STATUS_OK
                       : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %lld draws",
                                   (long long)law->n_draws);
}

/* Samples the rows that wait; places[i] is where row i's token goes. */
static enum status settle(struct lookup *lookup, int32_t **places, struct error *error)
{
    const struct sampled *sampled;
    int n = lookup->n;
    enum status status = n ? lookup_run(lookup, &sampled, error) : STATUS_OK;
    for (int i = 0; i < n && status == STATUS_OK; i++)
        if (sampled[i].token >= 0)
            *places[i] = sampled[i].token;
    return status;
}

/* One step of all draws. logits_of[token or position] is the table's row to draw from. */
static enum status step_all(struct law *law, struct lookup *lookup, const struct rules_step *step,
                            uint32_t index, const double *logits, bool by_token, struct error *error)
{
    int32_t *places[LOOKUP_ROWS];
    enum status status = STATUS_OK;
    int64_t n = law->n_draws * law->n_positions;
    for (int64_t i = 0; i < n && status == STATUS_OK; i++) {
        int32_t *token = &law->tokens[i];
        int64_t of = by_token ? *token : i % law->n_positions;
        struct lookup_row row = {.logits = logits + of * law->n_ids,
                                 .id = *token,
                                 .bound = step->at.bound,
                                 .forbid_mask = step->forbid_mask};
        draw_uniforms((struct stream){law->seed, index}, (uint32_t)i, &row);
        if (!rules_need(&law->rules, step, true, *token, row.u_jump))
            continue;
        places[lookup->n] = token;
        lookup_add(lookup, &row);
        if (lookup->n == LOOKUP_ROWS)
            status = settle(lookup, places, error);
    }
    return status == STATUS_OK ? settle(lookup, places, error) : status;
}

static enum status judge(const struct law *law, double *p_value, struct error *error)
{
    struct chi_square chi_square = {0};
    int64_t *counts = calloc((size_t)law->n_positions * (size_t)law->n_ids, sizeof *counts);
    if (!counts)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the counts");
    for (int64_t i = 0; i < law->n_draws * law->n_positions; i++)
        counts[i % law->n_positions * law->n_ids + law->tokens[i]]++;
    for (int j = 0; j < law->n_positions; j++)
        chi_square_add(&chi_square, counts + j * law->n_ids, law->exact->x + j * law->n_ids, law->n_ids);
    free(counts);
    *p_value = chi_square_p_value(&chi_square);
    return STATUS_OK;
}

/* Draws one step from recorded probabilities, for all positions at once. */
static enum status draw_step(const struct golden *golden, struct golden_file *file, struct law *law,
                             double *p_value, struct error *error)
{
    struct lookup lookup = {0};
    const int64_t shape[] = {-1, law->n_positions, law->n_ids};
    const struct array *p = golden_array(file, 3, shape, "step.probs"),
                       *ids = golden_array(file, 2, shape, "step.x_t");
    double t = number_after(law->name, ".t"), h = number_after(law->name, ".h");
    if (!p || !ids || !(h > 0))
        return golden_file_error(file, error)
                   ? error->status
                   : error_set(error, STATUS_INVALID_ARGUMENT, "%s: no h in its name", law->name);
    double *logits = malloc((size_t)p->n * sizeof *logits);
    struct rules_step step = {.at = {.t = (float)t, .h = (float)h}};
    step.at.bound = law->rules.solver == SOLVER_MIXTURE_EULER
                        ? 1
                        : schedule_bound(step.at.t, step.at.h, law->rules.exponent);
    step.limit = schedule_jump_limit(step.at.bound);
    for (int64_t i = 0; i < p->n && logits; i++)
        logits[i] = lookup_logit(p->x[i]);
    for (int64_t i = 0; i < law->n_draws * law->n_positions; i++)
        law->tokens[i] = (int32_t)ids->x[i % law->n_positions];
    enum status status = golden_check_ids(file, ids, law->n_ids, error);
    if (status == STATUS_OK && law->rules.solver == SOLVER_DFM_EULER) {
        step.at.bound = -1;
        step.limit = schedule_plain_jump(step.at.t, step.at.h, law->rules.exponent);
    }
    if (status == STATUS_OK)
        status = lookup_open(&lookup, golden, law->n_ids, -1, error);
    if (status == STATUS_OK)
        status = step_all(law, &lookup, &step, 0, logits, false, error);
    if (status == STATUS_OK)
        status = judge(law, p_value, error);
    lookup_close(&lookup);
    free(logits);
    return status;
}

/* The file's metadata "stats" say where a chain starts and how many steps it has. */
static enum status read_chain(const struct golden *golden, struct golden_file *file, struct law *law,
                              int *start, struct error *error)
{
    json_t *stats = golden_setting(golden, file, "files", file->name, "stats");
    const json_t *chain = json_object_get(stats, law->name);
    *start = (int)json_integer_value(json_object_get(chain, "x0"));
    law->rules.n_asked = (int)json_integer_value(json_object_get(chain, "n"));
    json_decref(stats);
    if (law->rules.n_asked < 1 || *start < 0 || *start >= law->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: stats have no x0 and n for it", law->name);
    law->rules.mask_token = strstr(law->name, ".masked") ? law->n_ids - 1 : -1;
    law->rules.revise = strstr(law->name, "unmask_change") != NULL;
    rules_complete(&law->rules);
    return STATUS_OK;
}

/* Draws whole texts of one token from a model that is a table: p(.|x, t) = softmax(table[x] · (1 + t)). */
static enum status draw_chain(const struct golden *golden, struct golden_file *file, struct law *law,
                              double *p_value, struct error *error)
{
    struct lookup lookup = {0};
    int start = 0, n = law->n_ids;
    const struct array *table = golden_array(file, 2, (int64_t[]){-1, -1}, "chain.table");
    if (!table || table->shape[0] < n || table->shape[1] < n)
        return error_set(error, STATUS_INVALID_ARGUMENT, "chain.table: smaller than the law of %s",
                         law->name);
    double *logits = malloc((size_t)n * (size_t)n * sizeof *logits);
    enum status status = logits ? read_chain(golden, file, law, &start, error)
                                : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a table");
    if (status == STATUS_OK)
        status = lookup_open(&lookup, golden, n, law->rules.mask_token, error);
    for (int64_t i = 0; i < law->n_draws && status == STATUS_OK; i++)
        law->tokens[i] = start;
    for (int i = 0; i < law->rules.n_steps && status == STATUS_OK; i++) {
        const struct rules_step step = rules_step(&law->rules, i);
        for (int from = 0; from < n; from++)
            for (int to = 0; to < n; to++)
                logits[from * n + to] = table->x[from * table->shape[1] + to] * (1 + (double)step.at.t);
        status = step_all(law, &lookup, &step, (uint32_t)i, logits, true, error);
    }
    if (status == STATUS_OK)
        status = judge(law, p_value, error);
    lookup_close(&lookup);
    free(logits);
    return status;
}

static enum status draw_law(const struct golden *golden, struct golden_file *file, const char *name,
                            uint64_t seed, struct draw_totals *totals, struct error *error)
{
    struct law law;
    double p_value = 0;
    bool is_step = name_begins(name, "step."), is_chain = name_begins(name, "chain.");
    enum status status = is_step || is_chain ? read_law(file, name, &law, error)
                                             : error_set(error, STATUS_INVALID_ARGUMENT,
                                                         "%s: neither step.* nor chain.*", name);
    if (status != STATUS_OK)
        return status;
    law.seed = seed;
    status = is_step ? draw_step(golden, file, &law, &p_value, error)
                     : draw_chain(golden, file, &law, &p_value, error);
    free(law.tokens);
    if (is_step) {
        totals->n_steps++;
        totals->least_step = fmin(totals->least_step, p_value);
    } else {
        totals->n_chains++;
        totals->least_chain = fmin(totals->least_chain, p_value);
    }
    return status;
}

static void tell(struct report *report, const char *file, const struct draw_totals *totals)
{
    struct finding finding = {.file = file, .unit = "laws", .limit = least_p_value, .at_least = true};
    finding.what = "chi-square of steps, least p";
    finding.count = totals->n_steps, finding.value = totals->least_step;
    if (totals->n_steps)
        report_finding(report, &finding);
    finding.what = "chi-square of whole texts, least p";
    finding.count = totals->n_chains, finding.value = totals->least_chain;
    if (totals->n_chains)
        report_finding(report, &finding);
}

enum status check_draws(const struct golden *golden, const char *name, struct report *report,
                        struct error *error)
{
    struct golden_file file;
    struct draw_totals totals = {.least_step = 1, .least_chain = 1};
    enum status status = golden_file_open(&file, golden, name, error);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < tensors_count(file.tensors) && status == STATUS_OK; i++) {
        char law[128];
        const char *tensor = tensors_at(file.tensors, i)->name;
        if (!name_ends(tensor, ".exact_f64"))
            continue;
        snprintf(law, sizeof law, "%.*s", (int)(strlen(tensor) - strlen(".exact_f64")), tensor);
        status = draw_law(golden, &file, law, (uint64_t)i + 1, &totals, error);
    }
    if (status == STATUS_OK && totals.n_steps + totals.n_chains == 0)
        status = error_set(error, STATUS_INVALID_ARGUMENT, "there is no law (*.exact_f64) in it");
    if (status == STATUS_OK)
        tell(report, name, &totals);
    golden_file_close(&file);
    return status;
}
