#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/verify/checks.h"
#include "worker/verify/law.h"
#include "worker/verify/rules.h"

/*
 * Single steps of a solver at recorded probabilities. α is a difference of two float32 logarithms over h in
 * the reference, so the product α·h is what can be compared.
 */
static const double hazard_tolerance = 5e-6, jump_tolerance = 1e-6, law_tolerance = 2e-6;

struct step_file {
    struct golden_file file;
    enum solver solver;
    double exponent;
    int n_rows, n_ids;
    const struct array *probabilities, *ids; /* [..., n_ids], [...] */
    double *logits;                          /* [n_rows, n_ids] */
    struct lookup_row *rows;                 /* [n_rows] */
    double *jump;                            /* [n_rows] */
    struct lookup lookup;
    int n_steps, n_times, n_hazards, n_laws;
    double times, hazard, jumps, law; /* largest differences */
};

static enum status read_header(struct step_file *it, struct error *error)
{
    const char *exponent = tensors_metadata(it->file.tensors, "exponent");
    enum status status = rules_solver(tensors_metadata(it->file.tensors, "solver"), &it->solver, error);
    it->exponent = exponent ? atof(exponent) : 1;
    it->probabilities = golden_array(&it->file, 3, (int64_t[]){-1, -1, -1}, "probs");
    if (status != STATUS_OK || !it->probabilities)
        return status != STATUS_OK ? status : golden_file_error(&it->file, error);
    it->ids = golden_array(&it->file, 2, it->probabilities->shape, "x_t");
    it->n_ids = (int)it->probabilities->shape[2];
    it->n_rows = it->n_ids ? (int)(it->probabilities->n / it->n_ids) : 0;
    if (!it->ids)
        return golden_file_error(&it->file, error);
    return golden_check_ids(&it->file, it->ids, it->n_ids, error);
}

static enum status make_rows(struct step_file *it, struct error *error)
{
    it->logits = malloc((size_t)it->probabilities->n * sizeof *it->logits);
    it->rows = calloc((size_t)it->n_rows, sizeof *it->rows);
    it->jump = calloc((size_t)it->n_rows, sizeof *it->jump);
    if (!it->logits || !it->rows || !it->jump)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d rows", it->n_rows);
    for (int64_t i = 0; i < it->probabilities->n; i++)
        it->logits[i] = lookup_logit(it->probabilities->x[i]);
    for (int row = 0; row < it->n_rows; row++)
        it->rows[row] =
            (struct lookup_row){.logits = it->logits + row * it->n_ids, .id = (int32_t)it->ids->x[row]};
    return STATUS_OK;
}

/* Compares our t and h with the grid's own, where our grid has that step. */
static void compare_times(struct step_file *it, const char *stem, double t, double h)
{
    int n, i;
    if (sscanf(stem, "n%d.i%d", &n, &i) != 2 || n < 1 || i < 0 || i >= n)
        return;
    struct schedule_step at = schedule_step_at(i, n, it->exponent);
    it->times = worse(it->times, worse(fabs((double)at.t - t), fabs((double)at.h - h)));
    it->n_times++;
}

/* h times the row's total rate. The reference's `intensity` is a rate; `rate_h` has h in it already. NaN when
 * neither is there. */
static double recorded_hazard(const struct array *intensity, const struct array *rate_h, int row, double h)
{
    return intensity ? intensity->x[row] * h : rate_h ? rate_h->x[row] : NAN;
}

static enum status compare_jumps(struct step_file *it, const char *stem, double h, struct error *error)
{
    struct golden_file *file = &it->file;
    const struct array *expected = golden_array(file, 2, it->ids->shape, "%s.jump_prob", stem);
    const struct array *intensity = golden_find(file, "%s.intensity", stem),
                       *rate_h = golden_find(file, "%s.rate_h", stem);
    if (!expected)
        return golden_file_error(file, error);
    enum status status = law_jump_probabilities(&it->lookup, it->rows, it->n_rows, it->jump, error);
    for (int row = 0; row < it->n_rows && status == STATUS_OK; row++) {
        double recorded = recorded_hazard(intensity, rate_h, row, h);
        it->jumps = worse(it->jumps, fabs(it->jump[row] - expected->x[row]));
        if (it->jump[row] >
            schedule_jump_limit(it->rows[row].bound) + 1e-12) /* exact thinning relies on this limit */
            return error_set(error, STATUS_INTERNAL, "%s: P(jump) %.17g is above the limit of the step", stem,
                             it->jump[row]);
        if ((intensity || rate_h) && it->jump[row] < 0.99) /* above 0.99, 1 - P has lost the hazard */
            it->hazard = worse(it->hazard, fabs(-log1p(-it->jump[row]) - recorded));
    }
    return status;
}

/* The share of a row's rates that comes from the reference's floor of 1e-9 for each token. That floor is not
 * part of our law. In a row that never jumps it is the whole rate. */
static double floor_share(const struct step_file *it, int row, double h)
{
    double rate_h = -log1p(-it->jump[row]);
    return it->solver == SOLVER_MIXTURE_EULER ? it->n_ids * 1e-9 * h / rate_h : 0;
}

/* Compares the law by which a jumping row chooses its token. The file records it as dest_f64 or, before
 * normalising, as the rates u. */
static enum status compare_law(struct step_file *it, const char *stem, double h, struct error *error)
{
    const int64_t *shape = it->probabilities->shape;
    enum status status = STATUS_OK;
    static const char *const names[] = {"dest_f64", "u"};
    for (int i = 0; i < 2; i++) {
        if (!golden_find(&it->file, "%s.%s", stem, names[i]))
            continue;
        const struct array *law = golden_array(&it->file, 3, shape, "%s.%s", stem, names[i]);
        if (!law)
            return golden_file_error(&it->file, error);
        for (int row = 0; row < it->n_rows && status == STATUS_OK; row++) {
            double apart = 0;
            if (it->jump[row] > 0)
                status = law_compare(&it->lookup, &it->rows[row], law->x + row * it->n_ids, &apart, error);
            it->law = worse(it->law, apart - (apart > 0 ? floor_share(it, row, h) : 0));
        }
        it->n_laws++;
    }
    return status;
}

static enum status compare_step(struct step_file *it, const char *stem, struct error *error)
{
    const struct array *t = golden_array(&it->file, 1, (int64_t[]){1}, "%s.t", stem);
    const struct array *h = golden_array(&it->file, 1, (int64_t[]){1}, "%s.h", stem);
    const struct array *alpha = golden_find(&it->file, "%s.alpha", stem);
    if (!t || !h)
        return golden_file_error(&it->file, error);
    double bound =
        it->solver == SOLVER_MIXTURE_EULER ? 1 : schedule_bound((float)t->x[0], (float)h->x[0], it->exponent);
    compare_times(it, stem, t->x[0], h->x[0]);
    if (alpha && alpha->n) {
        it->hazard = worse(it->hazard, fabs(bound - alpha->x[0] * h->x[0]));
        it->n_hazards++;
    }
    for (int row = 0; row < it->n_rows; row++)
        it->rows[row].bound = bound;
    it->n_steps++;
    enum status status = compare_jumps(it, stem, h->x[0], error);
    return status == STATUS_OK ? compare_law(it, stem, h->x[0], error) : status;
}

/* Compares α of all steps of the n-step grid. */
static enum status compare_table(struct step_file *it, const char *name, struct error *error)
{
    struct rules rules = {.solver = SOLVER_CUMULATIVE, .exponent = it->exponent, .mask_token = -1};
    if (sscanf(name, "alpha_table.n%d", &rules.n_asked) != 1 || rules.n_asked < 1)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: should be named alpha_table.nN", name);
    rules_complete(&rules);
    const struct array *alpha = golden_array(&it->file, 1, (int64_t[]){-1}, "%s", name);
    if (!alpha || (alpha->n != rules.n_asked && alpha->n != rules.n_steps))
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: not as long as its name says", name);
    rules.n_steps = (int)alpha->n;
    for (int i = 0; i < rules.n_steps; i++) {
        struct schedule_step at = rules_step(&rules, i).at;
        double bound = schedule_bound(at.t, at.h, it->exponent);
        it->hazard = worse(it->hazard, fabs(bound - alpha->x[i] * (double)at.h));
        it->n_hazards++;
    }
    return STATUS_OK;
}

static void tell(const struct step_file *it, struct report *report)
{
    bool euler = it->solver == SOLVER_MIXTURE_EULER;
    struct finding finding = {.file = it->file.name, .unit = "steps"};
    finding.what = "t and h", finding.count = it->n_times, finding.value = it->times;
    if (it->n_times)
        report_finding(report, &finding);
    finding.what = euler ? "rate*h" : "alpha*h, intensity*h";
    finding.count = it->n_hazards ? it->n_hazards : it->n_steps;
    finding.value = it->hazard, finding.limit = hazard_tolerance;
    finding.note = euler ? NULL : "kappa has no number of its own here: judged by these";
    report_finding(report, &finding);
    finding.what = "P(jump)", finding.count = it->n_steps, finding.note = NULL;
    finding.value = it->jumps, finding.limit = jump_tolerance;
    report_finding(report, &finding);
    finding.what = "law of the destination", finding.count = it->n_laws, finding.unit = "laws";
    finding.value = it->law, finding.limit = law_tolerance;
    if (it->n_laws)
        report_finding(report, &finding);
}

/* True for the names of a step's tensors. A name that we do not know must not be skipped silently. */
static bool is_known(const char *name)
{
    static const char *const parts[] = {".t",     ".h",         ".u",      ".kappa_t",   ".kappa_th",
                                        ".alpha", ".intensity", ".rate_h", ".jump_prob", ".dest_f64"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (name_ends(name, parts[i]))
            return true;
    return !strcmp(name, "probs") || !strcmp(name, "x_t") || name_begins(name, "alpha_table.");
}

static enum status compare_all(struct step_file *it, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < tensors_count(it->file.tensors) && status == STATUS_OK; i++) {
        const char *name = tensors_at(it->file.tensors, i)->name;
        char stem[128];
        snprintf(stem, sizeof stem, "%.*s", (int)strlen(name) - 2, name);
        if (!is_known(name))
            status = error_set(error, STATUS_INVALID_ARGUMENT, "%s: no check knows it", name);
        else if (name_begins(name, "alpha_table."))
            status = compare_table(it, name, error);
        else if (name_ends(name, ".t"))
            status = compare_step(it, stem, error);
    }
    if (status == STATUS_OK && it->n_steps == 0)
        status = error_set(error, STATUS_INVALID_ARGUMENT, "there is no step in it");
    return status;
}

enum status check_steps(const struct golden *golden, const char *name, struct report *report,
                        struct error *error)
{
    struct step_file it = {0};
    enum status status = golden_file_open(&it.file, golden, name, error);
    if (status != STATUS_OK)
        return status;
    status = read_header(&it, error);
    if (status == STATUS_OK)
        status = make_rows(&it, error);
    if (status == STATUS_OK)
        status = lookup_open(&it.lookup, golden, it.n_ids, -1, error);
    if (status == STATUS_OK)
        status = compare_all(&it, error);
    if (status == STATUS_OK)
        tell(&it, report);
    lookup_close(&it.lookup);
    free(it.logits);
    free(it.rows);
    free(it.jump);
    golden_file_close(&it.file);
    return status;
}
