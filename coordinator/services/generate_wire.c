#include "coordinator/services/generate_wire.h"

#include <stdlib.h>

/* Short names for protoc-c's of the members of a oneof. */
#define IS_INPUT(message, name) ((message)->input_case == MILLRACE__V1__GENERATE_REQUEST__INPUT_##name)
#define HAS(message, field, name) ((message)->field##_choice_case == MILLRACE__V1__GENERATE_REQUEST__##name)

static void read_steps(const Millrace__V1__GenerateRequest *message, struct generate_options *options)
{
    if (HAS(message, steps, STEPS_CHOICE_STEPS)) {
        options->steps_choice = STEPS_FIXED;
        options->steps = message->steps;
    } else if (HAS(message, steps, STEPS_CHOICE_AUTO_STEPS)) {
        options->steps_choice = STEPS_AUTO;
        options->steps_least = message->auto_steps->at_least;
        options->steps_most = message->auto_steps->at_most;
    }
}

static void read_numbers(const Millrace__V1__GenerateRequest *message, struct generate_options *options)
{
    options->length_is_set = HAS(message, length, LENGTH_CHOICE_LENGTH);
    options->length = options->length_is_set ? message->length : 0;
    options->seed_is_set = HAS(message, seed, SEED_CHOICE_SEED);
    options->seed = options->seed_is_set ? message->seed : 0;
    options->temperature_is_set = HAS(message, temperature, TEMPERATURE_CHOICE_TEMPERATURE);
    options->temperature = options->temperature_is_set ? message->temperature : 0;
    options->revise = message->revise;
    options->most_changes = message->most_changes;
    options->plain_text = message->plain_text;
}

static enum status read_solver(const Millrace__V1__GenerateRequest *message, struct generate_options *options,
                               struct error *error)
{
    options->solver = (enum solver)message->solver; /* the numbers are the same (common/solver.h) */
    if ((unsigned)message->solver < SOLVER_COUNT)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "solver: %d is none of the %d that there are",
                     (int)message->solver, SOLVER_COUNT);
}

static enum status read_class(const Millrace__V1__GenerateRequest *message, struct generate_options *options,
                              struct error *error)
{
    static const enum request_class classes[] = {[MILLRACE__V1__PRIORITY__NORMAL] = CLASS_NORMAL,
                                                 [MILLRACE__V1__PRIORITY__HIGH] = CLASS_HIGH,
                                                 [MILLRACE__V1__PRIORITY__LOW] = CLASS_LOW};
    if ((unsigned)message->priority >= CLASS_COUNT)
        return error_set(error, STATUS_INVALID_ARGUMENT, "priority: %d is none of NORMAL, HIGH and LOW",
                         (int)message->priority);
    options->terms.class = classes[message->priority];
    return STATUS_OK;
}

static void read_tokens(const Millrace__V1__TokenInput *tokens, struct generate_options *options)
{
    options->input = INPUT_TOKENS;
    options->ids = tokens->ids;
    options->n_ids = tokens->n_ids;
    options->editable = tokens->editable.data;
    options->n_editable = tokens->editable.len;
}

static enum status read_segment(const Millrace__V1__Segment *segment, size_t index,
                                struct generate_segment *plain, struct error *error)
{
    bool is_text = segment->kind_case == MILLRACE__V1__SEGMENT__KIND_TEXT;
    if (!is_text && segment->kind_case != MILLRACE__V1__SEGMENT__KIND_GAP)
        return error_set(error, STATUS_INVALID_ARGUMENT, "infill.segments[%zu]: is neither text nor gap",
                         index);
    *plain = is_text ? (struct generate_segment){.text = segment->text}
                     : (struct generate_segment){.gap = segment->gap};
    return STATUS_OK;
}

static enum status read_infill(const Millrace__V1__Infill *infill, struct generate_wire *wire,
                               struct error *error)
{
    wire->options.input = INPUT_INFILL;
    wire->options.n_segments = infill->n_segments;
    wire->options.segments = wire->segments = calloc(infill->n_segments + 1, sizeof *wire->segments);
    if (!wire->segments)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request");
    enum status status = STATUS_OK;
    for (size_t i = 0; i < infill->n_segments && status == STATUS_OK; i++)
        status = read_segment(infill->segments[i], i, &wire->segments[i], error);
    return status;
}

static enum status read_input(const Millrace__V1__GenerateRequest *message, struct generate_wire *wire,
                              struct error *error)
{
    if (IS_INPUT(message, INFILL))
        return read_infill(message->infill, wire, error);
    if (IS_INPUT(message, TOKENS))
        read_tokens(message->tokens, &wire->options);
    else if (IS_INPUT(message, PROMPT))
        wire->options.prompt = message->prompt;
    return STATUS_OK;
}

enum status generate_wire_read(const Millrace__V1__GenerateRequest *message, struct generate_wire *wire,
                               struct error *error)
{
    *wire = (struct generate_wire){.options.model = message->model};
    read_steps(message, &wire->options);
    read_numbers(message, &wire->options);
    enum status status = read_solver(message, &wire->options, error);
    if (status == STATUS_OK)
        status = read_class(message, &wire->options, error);
    if (status == STATUS_OK)
        status = read_input(message, wire, error);
    if (status != STATUS_OK)
        generate_wire_release(wire);
    return status;
}

void generate_wire_release(struct generate_wire *wire)
{
    free(wire->segments);
    wire->segments = NULL;
}
