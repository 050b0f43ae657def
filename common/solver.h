#ifndef MILLRACE_COMMON_SOLVER_H
#define MILLRACE_COMMON_SOLVER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * How a step moves a text; chosen per request. p = softmax(logits / temperature) at a position, x its token,
 * P the probability that it jumps in the step from t to t + h; x's new token is drawn from p without x,
 * renormalised. In the last step every solver redraws what may be redrawn from p. The values are those of the
 * wire (millrace.proto, Solver).
 */
enum solver {
    /* P = 1 − exp(−hα(1 − p(x))), hα = ln(1 − κ(t)) − ln(1 − κ(t+h)): the finite step's total, FS-DFM's own
     * (arXiv 2509.20624, section 3.3). */
    SOLVER_CUMULATIVE = 0,
    /* P = 1 − exp(−(1 − p(x))), whatever t and h: what the reference's mixture_euler does; its baseline at
     * few steps. Rates (p − δ)/h cancel h. Its floor of 1e-9 per rate, which leaks into pinned positions
     * there, is not ported. */
    SOLVER_MIXTURE_EULER = 1,
    /* x₁ ~ p, then x ← x₁ with P = 1 − exp(−hκ'(t)/(1 − κ(t))): plain discrete flow matching (arXiv
     * 2407.15595), for teachers, which do not know the size of a step. */
    SOLVER_DFM_EULER = 2,
    /* The cumulative scalar's P, but jumps are spread evenly: a position jumps when its P, summed over the
     * steps, passes φ + k, with one uniform phase φ per position and k = 0, 1, ... (stratified hazard
     * sampling, arXiv 2601.02799, for discrete time). The same expected number of jumps with the least
     * variance. P must be known at every step, so there is no thinning, and what is left until the next jump
     * belongs to the state of a text. */
    SOLVER_STRATIFIED = 3,
    /* The posterior of the model's own noise: a position keeps its token or is redrawn from what the network
     * and the noise leave at the time arrived at. Each network's authors' own sampler (MDLM, Duo, UDLM, GIDD;
     * BD3-LM block after block), with their last pass. docs/solvers.md has the law. */
    SOLVER_ANCESTRAL = 4,
    /* SOLVER_ANCESTRAL, and a last pass that takes the likeliest token at every position (Duo's greedy tail).
     */
    SOLVER_GREEDY = 5,
    /* Of a masked model: reverses the step exactly for the recorded scores (SEDD's analytic sampler, arXiv
     * 2310.16834; MDLM's of that name). */
    SOLVER_ANALYTIC = 6,
    /* SEDD's Euler step: the same with the rate at the step's beginning. */
    SOLVER_SCORE_EULER = 7,
    /* SOLVER_ANCESTRAL that also masks again what is revealed already, so that it can be corrected (ReMDM,
     * arXiv 2503.00307). */
    SOLVER_REMASKING = 8,
    /* BD3-LM: one position at a time, which one is as likely as another (first hitting, arXiv 2409.02908). */
    SOLVER_FIRST_HITTING = 9,
};

enum { SOLVER_COUNT = 10 };

/* "cumulative", "euler", "dfm", "stratified", "ancestral" and so on, as in config.json and as people type it.
 * "unknown": the number comes from a later version. */
const char *solver_name(enum solver solver);
/* "cumulative, euler, ...": all of them; returns `text`. */
const char *solver_names(char *text, size_t room);
/* Finds the solver with that name. False: there is none. */
bool solver_find(const char *name, enum solver *solver);

#endif
