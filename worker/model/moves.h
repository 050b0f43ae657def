#ifndef MILLRACE_WORKER_MODEL_MOVES_H
#define MILLRACE_WORKER_MODEL_MOVES_H

#include <stdbool.h>

#include "common/model/config.h"
#include "kernels/backend.h"
#include "worker/model/noise.h"
#include "worker/model/schedule.h"

/*
 * What the steps of a text do, for any network and solver: how many passes through the model they take, and
 * for each pass the law by which a position changes and the most that its P(jump) can be. A position whose
 * uniform lies above that needs no logits (exact thinning). docs/solvers.md has the laws and where they come
 * from.
 *
 * n steps are n passes, or n + 1 where the last step ends with a pass that removes what noise is left.
 */
struct move {
    struct schedule_step at; /* t: what the network is told. h, bound: FS-DFM's own */
    /* [0]: of a position that holds the mask token; [1]: of any other. */
    struct row_law law[2]; /* not for FS-DFM, which `at.bound` suffices */
    double limit[2];       /* 0: such a position cannot change */
    int first, end;        /* positions that may be written; what lies behind `end` is not looked at */
    bool is_single;        /* one position, each as likely as another */
    bool is_last;
};

/* Passes of a text that is refined in n_steps. */
int moves_count(const struct model_config *config, enum solver solver, int n_steps);

/* Pass `pass` of them, of a text of so many positions. */
void move_at(const struct model_config *config, enum solver solver, int length, int pass, int n_steps,
             struct move *move);

/* What the network is told in a pass: the time and, for a student, the size of the step. */
struct schedule_step move_times(const struct model_config *config, int pass, int n_steps);

/*
 * One pass from the noise level `from` down to `to`, as the posterior of the noise: with Q = α_t p(x) +
 * β_t(x), r = α_t/α_s and b = β_t(x) - r β_s(x) a position keeps its token with probability 1 - b/Q, else it
 * is redrawn from α_s p + β_s. kappa below 1 also forgets what was there: κ · posterior + (1 - κ) · (α_s ·
 * posterior of s = 0
 * + β_s) (Ψ-samplers, arXiv 2602.21185; of a mask ReMDM's remasking, 2503.00307).
 */
struct transition {
    struct noise_level from, to;
    double kappa;
};
void transition_law(const struct model_config *config, const struct transition *transition,
                    struct row_law law[2], double limit[2]);

/* SEDD: a masked position's chance to be revealed is `factor` times the sum of its scores. */
void score_law(const struct model_config *config, double t, double factor, struct row_law law[2],
               double limit[2]);

#endif
