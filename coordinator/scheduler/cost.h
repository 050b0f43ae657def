#ifndef MILLRACE_COORDINATOR_SCHEDULER_COST_H
#define MILLRACE_COORDINATOR_SCHEDULER_COST_H

#include <stdint.h>

/*
 * How long a replica's step takes: seconds = fixed + per_token × tokens of the batch, fitted to the steps
 * that it took (least squares), which weigh the less the longer ago they were (some seconds). As long as all
 * steps were of one size, smaller ones count as just as long and larger ones as longer in proportion: both
 * rather too much than too little. Zeroed memory is a model that has seen nothing.
 */
struct cost_model {
    double weight, tokens, seconds, tokens_tokens, tokens_seconds; /* weighted sums */
    double most_tokens;                                            /* of any step */
};

/* The model as a line: seconds = max(floor, fixed + per_token × tokens). All NAN: nothing is measured yet. */
struct cost_line {
    double floor, fixed, per_token;
};

void cost_model_add(struct cost_model *model, double tokens, double seconds);

/* NAN: nothing is measured yet. */
double cost_model_step_seconds(const struct cost_model *model, double tokens);
/* No less than that, as far as was measured: a batch larger than any that was seen counts as the largest. */
double cost_model_least_seconds(const struct cost_model *model, double tokens);
double cost_model_mean_seconds(const struct cost_model *model);

/* What cost_model_step_seconds is made of, for whoever asks often between two steps. */
struct cost_line cost_model_line(const struct cost_model *model);
static inline double cost_line_seconds(const struct cost_line *line, double tokens)
{
    double seconds = line->fixed + line->per_token * tokens;
    return seconds < line->floor ? line->floor : seconds;
}

#endif
