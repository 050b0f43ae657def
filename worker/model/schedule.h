#ifndef MILLRACE_WORKER_MODEL_SCHEDULE_H
#define MILLRACE_WORKER_MODEL_SCHEDULE_H

/*
 * When a sequence's steps happen, and how far each may move it.
 *
 * S steps divide [0, 1] evenly. The nodes are float32 as in the reference: t_i = float32(i/S). The step size
 * is the float32 difference of neighbouring nodes, which is what the student was told in training. For 67
 * values of S below 1024 the reference's rounding adds an empty last step; here S steps are always S steps.
 */
struct schedule_step {
    float t;      /* where the step begins */
    float h;      /* and its size: dt */
    double bound; /* h·α, the most hazard that a position can have in this step; see schedule_bound. Negative
                     in the last step */
};

/* Step `step` of `n_steps`, 0 <= step < n_steps, with κ(t) = t^exponent. */
struct schedule_step schedule_step_at(int step, int n_steps, double exponent);

/*
 * h·α = h/(h + ε) · (ln max(1 − κ(t), ε) − ln max(1 − κ(t + h), ε)), ε = 1e-8. This is FS-DFM's cumulative
 * scalar (arXiv 2509.20624, section 3.3) with the clamps of the reference. P(jump) = 1 − exp(−h·α·(1 − p(x)))
 * is at most 1 − exp(−h·α), so a position whose uniform lies above that needs no logits.
 */
double schedule_bound(float t, float h, double exponent);

/* The largest jump probability that `bound` allows; 1 in the last step, which redraws everything. */
double schedule_jump_limit(double bound);

/* 1 − exp(−hκ'(t)/(1 − κ(t))): how likely plain discrete flow matching moves a position in the step, whatever
 * p is. */
double schedule_plain_jump(float t, float h, double exponent);

#endif
