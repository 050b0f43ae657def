#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/verify/checks.h"
#include "worker/verify/rules.h"

/* What the grids showed. */
struct grid_totals {
    int n_grids, n_nodes;
    int n_empty; /* grids in which the reference's rounding adds an empty last step; schedule.h */
    int n_other; /* grids that end before 1 with another number of steps than was asked for */
    double largest;
};

/*
 * Checks a grid of n steps that end at 1 - eps. Where the reference takes n steps too, all our steps are
 * compared. Where its rounding makes it take one step more or less, we take that number of steps, and compare
 * our grid to 1 on the steps that both have.
 */
static enum status check_grid(struct golden_file *file, const char *stem, struct grid_totals *totals,
                              struct error *error)
{
    struct rules rules = {.solver = SOLVER_CUMULATIVE, .exponent = 1, .mask_token = -1};
    if (sscanf(stem, "n%d.eps%lf", &rules.n_asked, &rules.eps) != 2 || rules.n_asked < 1)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: should be named nN.epsE", stem);
    rules_complete(&rules);
    const struct array *t = golden_array(file, 1, (int64_t[]){rules.n_steps}, "%s.t", stem);
    const struct array *dt = golden_array(file, 1, (int64_t[]){rules.n_steps}, "%s.dt", stem);
    if (!t || !dt)
        return golden_file_error(file, error);
    for (int i = 0; i < rules.n_steps; i++) {
        struct schedule_step at = rules_step(&rules, i).at;
        double ours_t = fabs((double)at.t - t->x[i]), ours_dt = fabs((double)at.h - dt->x[i]);
        totals->largest = worse(totals->largest, worse(ours_t, ours_dt));
    }
    for (int i = 0; i < rules.n_asked && rules.eps == 0; i++) {
        struct schedule_step at = schedule_step_at(i, rules.n_asked, 1);
        double ours_t = fabs((double)at.t - t->x[i]), ours_dt = fabs((double)at.h - dt->x[i]);
        totals->largest = worse(totals->largest, worse(ours_t, ours_dt));
        if ((at.bound < 0) != (i == rules.n_asked - 1))
            return error_set(error, STATUS_INTERNAL, "%s: step %d of ours is the last, or the last is not",
                             stem, i);
    }
    totals->n_grids++;
    totals->n_nodes += rules.n_steps;
    totals->n_empty += rules.eps == 0 && rules.n_steps != rules.n_asked;
    totals->n_other += rules.eps != 0 && rules.n_steps != rules.n_asked;
    return STATUS_OK;
}

enum status check_grids(const struct golden *golden, const char *name, struct report *report,
                        struct error *error)
{
    struct golden_file file;
    struct grid_totals totals = {0};
    enum status status = golden_file_open(&file, golden, name, error);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < tensors_count(file.tensors) && status == STATUS_OK; i++) {
        char stem[128];
        const char *tensor = tensors_at(file.tensors, i)->name;
        if (name_ends(tensor, ".dt"))
            continue;
        snprintf(stem, sizeof stem, "%.*s", (int)strlen(tensor) - 2, tensor);
        status = name_ends(tensor, ".t")
                     ? check_grid(&file, stem, &totals, error)
                     : error_set(error, STATUS_INVALID_ARGUMENT, "%s: no check knows it", tensor);
    }
    char note[160] = "";
    if (totals.n_empty + totals.n_other)
        snprintf(
            note, sizeof note,
            "%d with the reference's empty step after ours, %d cut short by eps with another number of steps",
            totals.n_empty, totals.n_other);
    if (status == STATUS_OK)
        report_finding(report, &(struct finding){.file = name,
                                                 .what = "t and dt",
                                                 .count = totals.n_grids,
                                                 .unit = "grids",
                                                 .value = totals.largest,
                                                 .note = *note ? note : NULL});
    golden_file_close(&file);
    return status;
}
