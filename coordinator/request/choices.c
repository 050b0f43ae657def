#include "coordinator/request/choices.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static enum status check_bounds(const char *field, uint32_t value, int most, struct error *error)
{
    if (value >= 1 && value <= (uint32_t)most)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %u is not from 1 to %d", field, value, most);
}

/* How many steps there will be is known when the request is accepted (scheduler_admission.c). */
static enum status choose_auto_steps(const struct generate_options *options,
                                     const struct model_config *config, struct request_choices *choices,
                                     struct error *error)
{
    uint32_t least = options->steps_least ? options->steps_least : 1;
    uint32_t most = options->steps_most ? options->steps_most : (uint32_t)config->default_steps;
    if (!options->steps_most && most < least)
        most = least;
    enum status status = check_bounds("auto_steps.at_least", least, config->max_steps, error);
    if (status == STATUS_OK)
        status = check_bounds("auto_steps.at_most", most, config->max_steps, error);
    if (status == STATUS_OK && least > most)
        return error_set(error, STATUS_INVALID_ARGUMENT, "auto_steps.at_least: %u is more than at_most, %u",
                         least, most);
    choices->steps_least = (int)least;
    choices->steps_most = (int)most;
    return status;
}

static enum status choose_steps(const struct generate_options *options, const struct model_config *config,
                                struct request_choices *choices, struct error *error)
{
    choices->steps_default = config->default_steps;
    if (options->steps_choice == STEPS_AUTO)
        return choose_auto_steps(options, config, choices, error);
    bool given = options->steps_choice == STEPS_FIXED;
    uint32_t steps = given ? options->steps : (uint32_t)config->default_steps;
    choices->steps_most = (int)steps;
    return check_bounds("steps", steps, config->max_steps, error);
}

static enum status check_length(const struct generate_options *options, const struct model_config *config,
                                struct error *error)
{
    return options->length_is_set ? check_bounds("length", options->length, config->max_length, error)
                                  : STATUS_OK;
}

static enum status choose_temperature(const struct generate_options *options, struct request_choices *choices,
                                      struct error *error)
{
    choices->temperature = options->temperature_is_set ? options->temperature : 1.0f;
    if (choices->temperature >= LEAST_TEMPERATURE && choices->temperature <= MOST_TEMPERATURE)
        return STATUS_OK; /* a NaN is refused */
    return error_set(error, STATUS_INVALID_ARGUMENT, "temperature: %g is not from %g to %g",
                     (double)choices->temperature, (double)LEAST_TEMPERATURE, (double)MOST_TEMPERATURE);
}

static enum status choose_seed(const struct generate_options *options, struct request_choices *choices,
                               struct error *error)
{
    choices->seed = options->seed;
    if (options->seed_is_set)
        return STATUS_OK;
    if (getrandom(&choices->seed, sizeof choices->seed, 0) == (ssize_t)sizeof choices->seed)
        return STATUS_OK;
    return error_set(error, STATUS_INTERNAL, "seed: the system has no random numbers: %s", strerror(errno));
}

enum status choices_make(const struct generate_options *options, const struct model_config *config,
                         struct request_choices *choices, struct error *error)
{
    struct request_choices made = {
        .solver = options->solver, .revise = options->revise, .most_changes = options->most_changes};
    enum status status = choose_steps(options, config, &made, error);
    if (status == STATUS_OK)
        status = check_length(options, config, error);
    if (status == STATUS_OK)
        status = choose_temperature(options, &made, error);
    if (status == STATUS_OK)
        status = choose_seed(options, &made, error);
    if (status == STATUS_OK)
        *choices = made;
    return status;
}
