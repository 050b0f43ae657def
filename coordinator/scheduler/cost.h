#ifndef MILLRACE_COORDINATOR_SCHEDULER_COST_H
#define MILLRACE_COORDINATOR_SCHEDULER_COST_H

#include <stdint.h>

/*
 * How long a replica's step takes: seconds = fixed + per_token × tokens of the batch. The model is fitted to
 * the steps that the replica took (least squares). The weight of a step shrinks within some seconds. As long
 * as all steps had one size, a smaller step counts as just as long, and a larger one as longer in proportion:
 * both are rather too long than too short. Zeroed memory is a model that has seen no step.
 */
struct cost_model {
    double weight, tokens, seconds, tokens_tokens, tokens_seconds; /* weighted sums */
    double most_tokens;                                            /* the largest of any step */
};

/* The model as a line: seconds = max(floor, fixed + per_token × tokens). All NAN: nothing is measured yet. */
struct cost_line {
    double floor, fixed, per_token;
};

void cost_model_add(struct cost_model *model, double tokens, double seconds);

/* NAN: nothing is measured yet. */
double cost_model_step_seconds(const struct cost_model *model, double tokens);
/* The same, but a batch larger than any that was seen counts as the largest one. */
double cost_model_least_seconds(const struct cost_model *model, double tokens);
double cost_model_mean_seconds(const struct cost_model *model);

/* The line behind cost_model_step_seconds, for callers that ask often between two steps. */
struct cost_line cost_model_line(const struct cost_model *model);
static inline double cost_line_seconds(const struct cost_line *line, double tokens)
{
    double seconds = line->fixed + line->per_token * tokens;
    return seconds < line->floor ? line->floor : seconds;
}

#endif
