#ifndef MILLRACE_WORKER_TOOLS_ELBO_H
#define MILLRACE_WORKER_TOOLS_ELBO_H

#include <stdbool.h>

#include "worker/model/model.h"

/*
 * `millrace-worker --elbo FILE`: a bound on how many nats a text costs under the model, without a
 * coordinator.
 *
 * A token x_1 of the text is kept with probability κ(t), else replaced by one of the source's (uniform, or
 * the mask): x_t. The model sees x_t. The bound of a flow with the mixture path (Shaul et al., arXiv
 * 2412.03487; Lipman et al., arXiv 2412.06264) is the mean over positions of
 *
 *     ∫ κ'/(1 − κ) · −[ p(x_t) − δ(x_1 = x_t) + (1 − δ(x_1 = x_t)) ln p(x_1) ] dt,
 *
 * where p is the model's softmax at (x_t, t).
 *
 * Drawing κ evenly instead of t takes κ' into the measure. The windows' κ are stratified: one random offset,
 * then even steps. The integral ends at t = 1 − ELBO_STEP: beyond, 1/(1 − κ) lets single positions decide,
 * and a student was trained for no smaller step. A student is told dt = ELBO_STEP, its smallest: there it is
 * trained on the data as a teacher is.
 */
#define ELBO_STEP (1.0 / 1024)

struct elbo_options {
    const char *path; /* token ids of the text, decimal, with white space between */
    int n_windows, length;
    uint64_t seed;
};

struct elbo_result {
    double nats;  /* a token */
    double error; /* its standard error, from neighbours in κ: what differs between them is chance, the rest
                     is stratified away */
};

/* One window as the model sees it. */
struct elbo_window {
    double kappa;
    float t;
    size_t first; /* of the text's tokens */
};

/* Window `index` of options->n_windows: evenly over the text in an order drawn once (`order`), so that place
 * and κ are independent. */
struct elbo_window elbo_window_at(const struct elbo_options *options, const struct model_config *config,
                                  size_t n_ids, const int32_t *order, int index);

/* A random order of 0 ... n - 1. */
void elbo_shuffle(int32_t *order, int n, uint64_t seed);

/* x_t of one position: x_1 with probability κ, else the source's. */
int32_t elbo_corrupt(const struct model_config *config, const struct elbo_window *window, uint64_t seed,
                     int index, int position, int32_t token);

/* −[p(x_t) − δ + (1 − δ) ln p(x_1)] / (1 − κ) */
double elbo_term(double kappa, bool is_same, double p_noisy, double log_p_clean);

/* All ranks together; the same result on all. `ids` are the text's tokens, each a token of the model. */
enum status elbo_measure(struct model *model, const struct elbo_options *options, const int32_t *ids,
                         size_t n_ids, struct elbo_result *result, struct error *error);

/* Reads options->path, measures; rank 0 prints one JSON object. */
enum status elbo_run(struct model *model, const struct elbo_options *options, struct error *error);

#endif
