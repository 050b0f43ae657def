#include "coordinator/request/choices.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/model/network.h"

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

/* A model without the cumulative solver, which is 0 on the wire, takes that for its own. */
static enum status choose_solver(const struct generate_options *options, const struct model_config *config,
                                 struct request_choices *choices, struct error *error)
{
    char solvers[160];
    const struct network *network = network_of(config->architecture);
    const bool is_unset =
        options->solver == SOLVER_CUMULATIVE && !network_has_solver(network, SOLVER_CUMULATIVE);
    choices->solver = is_unset ? config->default_solver : options->solver;
    if (!network_has_solver(network, choices->solver))
        return error_set(
            error, STATUS_INVALID_ARGUMENT, "solver: %s is not for this %s model, which can use %s",
            solver_name(choices->solver), network->name, network_solvers(network, solvers, sizeof solvers));
    if (choices->revise && network->sources == SOURCES_MASK)
        return error_set(
            error, STATUS_INVALID_ARGUMENT, "revise: a %s model keeps what is revealed%s", network->name,
            network_has_solver(network, SOLVER_REMASKING) ? "; the solver remasking masks it again" : "");
    if (choices->temperature != 1 && !network_has_temperature(network))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "temperature: the scores of a %s model have none; it must be 1, not %g",
                         network->name, (double)choices->temperature);
    return STATUS_OK;
}

enum status choices_check_length(const struct model_config *config, int length,
                                 struct request_choices *choices, struct error *error)
{
    const int fewest = network_fewest_steps(config, choices->solver, length);
    if (choices->steps_most < fewest)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "steps: %d are too few for %d positions, which this model writes in %d parts of one step "
            "or more",
            choices->steps_most, length, fewest);
    if (choices->steps_least > 0 && choices->steps_least < fewest)
        choices->steps_least = fewest;
    return STATUS_OK;
}

enum status choices_make(const struct generate_options *options, const struct model_config *config,
                         struct request_choices *choices, struct error *error)
{
    struct request_choices made = {.revise = options->revise, .most_changes = options->most_changes};
    enum status status = choose_steps(options, config, &made, error);
    if (status == STATUS_OK)
        status = check_length(options, config, error);
    if (status == STATUS_OK)
        status = choose_temperature(options, &made, error);
    if (status == STATUS_OK)
        status = choose_solver(options, config, &made, error);
    if (status == STATUS_OK)
        status = choose_seed(options, &made, error);
    if (status == STATUS_OK)
        *choices = made;
    return status;
}
