#ifndef MILLRACE_WORKER_MODEL_NOISE_H
#define MILLRACE_WORKER_MODEL_NOISE_H

#include "common/model/config.h"

/*
 * How the published networks turn texts into noise. Their time runs backwards: t = 1 is noise, t = 0 is text.
 * At time t a position holds its token with probability alpha, the mask token with probability `mask`, and
 * each other id with probability `other` beside that. So alpha + mask + n · other = 1.
 *
 *   log-linear  alpha = 1 - 0.999 t                                  (MDLM, SEDD, Duo, UDLM)
 *   linear      alpha = 1 - t                                        (BD3-LM)
 *   mixed       alpha = (1 - t)/(1 + c), mask = t/(1 + c), and all others together c/(1 + c), with
 *               c = B √(t(1 - t)), B = 2 p_u/(1 - p_u)               (GIDD, arXiv 2503.04482, section 4)
 *
 * All in double precision: at t = 1e-5 float32 has 1 - alpha wrong by 0.2 per cent.
 */
struct noise_level {
    double alpha, mask, other;
};

struct noise_level noise_at(const struct model_config *config, double t);

/* The time at node `node` of `n_steps` steps: node 0 is noise, node n_steps is (nearly) text. A model's
 * time_grid bends it. */
double noise_time(const struct model_config *config, int node, int n_steps);

/* What the network is told at time t; float32, as the authors' code rounds it. */
float noise_network_time(const struct model_config *config, double t);

#endif
