#include "coordinator/scheduler/cost.h"

#include <math.h>

/* The weight of a step shrinks within some seconds, but the last few steps always count. So neither a
 * moment's disturbance among thousands of short steps nor a single long step decides. */
#define MEMORY_SECONDS 5.0
#define LEAST_DECAY 0.8
#define MOST_DECAY 0.999

#define LEAST_SPREAD \
    0.05 /* standard deviation of the sizes, as a part of their mean: below this we fit no slope at all */

void cost_model_add(struct cost_model *model, double tokens, double seconds)
{
    if (!(tokens > 0) || !(seconds >= 0) || !isfinite(seconds))
        return; /* a replica may say anything */
    double decay = fmin(fmax(exp(-seconds / MEMORY_SECONDS), LEAST_DECAY), MOST_DECAY);
    model->most_tokens = fmax(model->most_tokens, tokens);
    model->weight = decay * model->weight + 1;
    model->tokens = decay * model->tokens + tokens;
    model->seconds = decay * model->seconds + seconds;
    model->tokens_tokens = decay * model->tokens_tokens + tokens * tokens;
    model->tokens_seconds = decay * model->tokens_seconds + tokens * seconds;
}

double cost_model_mean_seconds(const struct cost_model *model)
{
    return model->weight > 0 ? model->seconds / model->weight : (double)NAN;
}

double cost_model_least_seconds(const struct cost_model *model, double tokens)
{
    return cost_model_step_seconds(model, fmin(tokens, model->most_tokens));
}

struct cost_line cost_model_line(const struct cost_model *model)
{
    double mean = cost_model_mean_seconds(model);
    if (!(model->weight > 0))
        return (struct cost_line){mean, mean, mean};
    double mean_tokens = model->tokens / model->weight;
    double variance = model->tokens_tokens / model->weight - mean_tokens * mean_tokens;
    double covariance = model->tokens_seconds / model->weight - mean_tokens * mean;
    if (variance < LEAST_SPREAD * LEAST_SPREAD * mean_tokens * mean_tokens)
        return (struct cost_line){mean, 0, mean / mean_tokens};
    double slope = fmax(covariance / variance, 0), fixed = mean - slope * mean_tokens;
    return fixed >= 0 ? (struct cost_line){0, fixed, slope} : (struct cost_line){0, 0, mean / mean_tokens};
}

double cost_model_step_seconds(const struct cost_model *model, double tokens)
{
    struct cost_line line = cost_model_line(model);
    return cost_line_seconds(&line, tokens);
}
