#include "worker/model/noise.h"

#include <math.h>

#include "common/model/network.h"

static const double smallest_share = 1e-3; /* of text that is left in log-linear noise */
static const double time_eps = 1e-5;       /* how near to 0 the time of the last node is */

static struct noise_level mixed(const struct model_config *config, double t)
{
    const double least = exp(-20.0), uniform = fmax(config->p_uniform, least);
    const double b = exp(fmax(log(2.0) + log(uniform) - log1p(-uniform), -20.0));
    const double c = b * sqrt(t * (1 - t));
    return (struct noise_level){
        .alpha = (1 - t) / (1 + c), .mask = t / (1 + c), .other = c / (1 + c) / (config->n_ids - 1)};
}

struct noise_level noise_at(const struct model_config *config, double t)
{
    const enum noise noise = network_of(config->architecture)->noise;
    struct noise_level level = {.alpha = 1 - t};
    if (noise == NOISE_MIXED)
        return mixed(config, t);
    if (noise == NOISE_LOG_LINEAR)
        level.alpha = 1 - (1 - smallest_share) * t;
    if (config->source == SOURCE_MASK)
        level.mask = 1 - level.alpha;
    else
        level.other = (1 - level.alpha) / config->n_ids;
    return level;
}

/* How far a text has come at node `node`, from 0 to 1. */
static double progress(const struct model_config *config, int node, int n_steps)
{
    const double evenly = (double)node / n_steps;
    const int parts = config->n_time_grid - 1;
    if (parts < 1 || node == n_steps)
        return evenly;
    const int part = (int)(evenly * parts);
    const double within = evenly * parts - part, *grid = config->time_grid;
    return grid[part] + within * (grid[part + 1] - grid[part]);
}

double noise_time(const struct model_config *config, int node, int n_steps)
{
    const double done = progress(config, node, n_steps);
    switch (network_of(config->architecture)->noise) {
    case NOISE_MIXED:
        return 1 - config->t_eps - (1 - 2 * config->t_eps) * done;
    case NOISE_LINEAR:
        return 1 - done;
    default:
        return 1 + (time_eps - 1) * done;
    }
}

float noise_network_time(const struct model_config *config, double t)
{
    const struct network *network = network_of(config->architecture);
    if (config->is_timeless || network->time == TIME_NONE)
        return 0;
    return network->time == TIME_NOISE ? (float)t : (float)-log(noise_at(config, t).alpha);
}
