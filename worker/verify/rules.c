#include "worker/verify/rules.h"

#include <math.h>
#include <string.h>

static double end_of_time(const struct rules *rules)
{
    return (double)(float)(1.0 - rules->eps);
}

void rules_complete(struct rules *rules)
{
    rules->n_steps = (int)ceil(end_of_time(rules) / (1.0 / rules->n_asked));
}

static struct schedule_step step_of_grid(const struct rules *rules, int step)
{
    if (rules->eps == 0 && rules->n_steps == rules->n_asked) /* the grid that requests get */
        return schedule_step_at(step, rules->n_asked, rules->exponent);
    bool last = step + 1 == rules->n_steps;
    double size = 1.0 / rules->n_asked;
    struct schedule_step at = {.t = (float)(size * step)};
    at.h = (float)(last ? end_of_time(rules) : size * (step + 1)) - at.t;
    at.bound = last ? -1 : schedule_bound(at.t, at.h, rules->exponent);
    return at;
}

struct rules_step rules_step(const struct rules *rules, int step)
{
    struct rules_step it = {.at = step_of_grid(rules, step), .last = step + 1 == rules->n_steps};
    bool bans_mask = rules->has_edit_mask ? rules->bans_mask : rules->mask_token >= 0;
    it.forbid_mask = it.last && rules->solver != SOLVER_DFM_EULER && bans_mask;
    if (!it.last && rules->solver == SOLVER_MIXTURE_EULER)
        it.at.bound = 1;
    it.limit = schedule_jump_limit(it.at.bound);
    if (!it.last && rules->solver == SOLVER_DFM_EULER) {
        it.at.bound = -1;
        it.limit = schedule_plain_jump(it.at.t, it.at.h, rules->exponent);
    }
    return it;
}

bool rules_need(const struct rules *rules, const struct rules_step *step, bool editable, int id,
                double u_jump)
{
    bool stays = rules->mask_token >= 0 && id != rules->mask_token && !rules->revise; /* already revealed */
    if (!editable)
        return false;
    if (step->last)
        return rules->has_edit_mask || rules->solver == SOLVER_DFM_EULER || !stays;
    if (rules->solver == SOLVER_MIXTURE_EULER && stays)
        return false;
    return u_jump < step->limit;
}

enum status rules_solver(const char *name, enum solver *solver, struct error *error)
{
    static const struct {
        const char *name;
        enum solver solver;
    } known[] = {
        {"cumulative", SOLVER_CUMULATIVE}, {"euler", SOLVER_MIXTURE_EULER}, {"meta", SOLVER_DFM_EULER}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (name && !strcmp(name, known[i].name)) {
            *solver = known[i].solver;
            return STATUS_OK;
        }
    }
    return error_set(error, STATUS_INVALID_ARGUMENT, "solver \"%s\" is none of cumulative, euler, meta",
                     name ? name : "");
}
