#ifndef MILLRACE_WORKER_VERIFY_RULES_H
#define MILLRACE_WORKER_VERIFY_RULES_H

#include <stdbool.h>

#include "common/solver.h"
#include "worker/model/plan.h"

/*
 * What the reference's sampling loops do around the model: where each step lies, which positions it may
 * write, and from which law. The reference can do things that no request can ask for here: its grids may end
 * before 1, a mask token may be drawn, and there may be one step more than was asked for. These rules follow
 * the reference, so that every recorded trajectory can be replayed through the worker's own plan, forward
 * pass and sampler.
 */
struct rules {
    enum solver solver;
    double exponent;    /* κ(t) = t^exponent */
    int n_asked;        /* step_size = 1/n_asked */
    double eps;         /* time ends at 1 - eps */
    int mask_token;     /* of a mask source; -1: uniform */
    bool revise;        /* unmask_change: what is revealed may change again */
    bool has_edit_mask; /* sample_masked() */
    bool bans_mask;     /* sample_masked() with mask_token_id */
    int n_steps;        /* of the reference's grid; set by rules_complete */
};

/* n_steps = ceil((1 - eps) / (1 / n_asked)) in double precision, 1 - eps rounded to float32 before: n_asked,
 * or one off. */
void rules_complete(struct rules *rules);

struct rules_step {
    struct schedule_step at; /* bound < 0: drawn from all of p, whatever u_jump says */
    double limit;            /* a position with u_jump at or above it cannot be written; 1 in the last step */
    bool last;
    bool forbid_mask; /* p without the mask token, renormalised */
};
struct rules_step rules_step(const struct rules *rules, int step);

/* Whether this step may write the position that holds `id`, and whether the position's uniform allows it. */
bool rules_need(const struct rules *rules, const struct rules_step *step, bool editable, int id,
                double u_jump);

/* "cumulative", "euler", "meta"; INVALID_ARGUMENT for another name. */
enum status rules_solver(const char *name, enum solver *solver, struct error *error);

#endif
