/*
 * From the wire to a request in three steps: the choices (length, steps, seed, temperature), the layout of
 * the input (which position is pinned to which id), and the starting ids of all others.
 *
 * A layout is built as a list of pieces, pinned ids or gaps, because the length of an infill may only
 * be known once all its texts are tokenized.
 */
#include "coordinator/request/request.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/philox.h"

/* Pinned ids, or a gap: `ids` is NULL. */
struct piece {
    int32_t *ids;
    size_t n; /* of a gap: 0 is an equal share of what is left */
};

struct layout {
    struct piece *pieces;
    size_t n_pieces;
};

static void layout_release(struct layout *layout)
{
    for (size_t i = 0; i < layout->n_pieces; i++)
        free(layout->pieces[i].ids);
    free(layout->pieces);
}

void request_release(struct request *request)
{
    free(request->ids);
    free(request->editable);
    request->ids = NULL;
    request->editable = NULL;
}

/* ---- the choices ---- */

enum status request_check_model(const char *name, const struct served_model *model, struct error *error)
{
    if (!*name || !strcmp(name, model->config.name))
        return STATUS_OK;
    return error_set(error, STATUS_NOT_FOUND, "model: \"%.100s\" is not served here; \"%s\" is", name,
                     model->config.name);
}

static enum status check_bounds(const char *field, uint32_t value, int most, struct error *error)
{
    if (value >= 1 && value <= (uint32_t)most)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %u is not from 1 to %d", field, value, most);
}

static enum status choose_temperature(const Millrace__V1__GenerateRequest *wire, struct request *request,
                                      struct error *error)
{
    bool given =
        wire->temperature_choice_case == MILLRACE__V1__GENERATE_REQUEST__TEMPERATURE_CHOICE_TEMPERATURE;
    request->temperature = given ? wire->temperature : 1.0f;
    if (request->temperature >= LEAST_TEMPERATURE && request->temperature <= MOST_TEMPERATURE)
        return STATUS_OK; /* which a NaN is not */
    return error_set(error, STATUS_INVALID_ARGUMENT, "temperature: %g is not from %g to %g",
                     (double)request->temperature, (double)LEAST_TEMPERATURE, (double)MOST_TEMPERATURE);
}

static enum status choose_solver(const Millrace__V1__GenerateRequest *wire, struct request *request,
                                 struct error *error)
{
    if ((unsigned)wire->solver >= SOLVER_COUNT)
        return error_set(error, STATUS_INVALID_ARGUMENT, "solver: %d is none of the %d that there are",
                         (int)wire->solver, SOLVER_COUNT);
    request->solver = (enum solver)wire->solver;
    request->revise = wire->revise;
    request->most_changes = wire->most_changes;
    return STATUS_OK;
}

static enum status choose_class(const Millrace__V1__GenerateRequest *wire, struct request *request,
                                struct error *error)
{
    static const enum request_class classes[] = {[MILLRACE__V1__PRIORITY__NORMAL] = CLASS_NORMAL,
                                                 [MILLRACE__V1__PRIORITY__HIGH] = CLASS_HIGH,
                                                 [MILLRACE__V1__PRIORITY__LOW] = CLASS_LOW};
    if ((unsigned)wire->priority >= CLASS_COUNT)
        return error_set(error, STATUS_INVALID_ARGUMENT, "priority: %d is none of NORMAL, HIGH and LOW",
                         (int)wire->priority);
    request->class = classes[wire->priority];
    return STATUS_OK;
}

static enum status choose_seed(const Millrace__V1__GenerateRequest *wire, struct request *request,
                               struct error *error)
{
    request->seed = wire->seed;
    if (wire->seed_choice_case == MILLRACE__V1__GENERATE_REQUEST__SEED_CHOICE_SEED)
        return STATUS_OK;
    if (getrandom(&request->seed, sizeof request->seed, 0) == (ssize_t)sizeof request->seed)
        return STATUS_OK;
    return error_set(error, STATUS_INTERNAL, "seed: the system has no random numbers: %s", strerror(errno));
}

/* How many there will be is known when it is accepted (scheduler_admission.c). */
static enum status choose_auto_steps(const Millrace__V1__AutoSteps *wire, const struct model_config *config,
                                     struct request *request, struct error *error)
{
    uint32_t least = wire->at_least ? wire->at_least : 1;
    uint32_t most = wire->at_most ? wire->at_most : (uint32_t)config->default_steps;
    if (!wire->at_most && most < least)
        most = least;
    enum status status = check_bounds("auto_steps.at_most", most, config->max_steps, error);
    if (status == STATUS_OK && least > most)
        return error_set(error, STATUS_INVALID_ARGUMENT, "auto_steps.at_least: %u is more than at_most, %u",
                         least, most);
    request->steps_least = (int)least;
    request->steps = (int)most;
    return status;
}

static enum status choose_steps(const Millrace__V1__GenerateRequest *wire, const struct model_config *config,
                                struct request *request, struct error *error)
{
    request->steps_default = config->default_steps;
    if (wire->steps_choice_case == MILLRACE__V1__GENERATE_REQUEST__STEPS_CHOICE_AUTO_STEPS)
        return choose_auto_steps(wire->auto_steps, config, request, error);
    bool given = wire->steps_choice_case == MILLRACE__V1__GENERATE_REQUEST__STEPS_CHOICE_STEPS;
    uint32_t steps = given ? wire->steps : (uint32_t)config->default_steps;
    request->steps = (int)steps;
    return check_bounds("steps", steps, config->max_steps, error);
}

static enum status choose(const Millrace__V1__GenerateRequest *wire, const struct model_config *config,
                          struct request *request, struct error *error)
{
    enum status status = choose_steps(wire, config, request, error);
    if (status == STATUS_OK &&
        wire->length_choice_case == MILLRACE__V1__GENERATE_REQUEST__LENGTH_CHOICE_LENGTH)
        status = check_bounds("length", wire->length, config->max_length, error);
    if (status == STATUS_OK)
        status = choose_temperature(wire, request, error);
    if (status == STATUS_OK)
        status = choose_solver(wire, request, error);
    if (status == STATUS_OK)
        status = choose_class(wire, request, error);
    return status == STATUS_OK ? choose_seed(wire, request, error) : status;
}

/* ---- the layout ---- */

enum status request_encode(const struct served_model *model, const char *field, const char *text,
                           int32_t **ids, size_t *n_ids, struct error *error)
{
    enum status status = tokenizer_encode(model->tokenizer, text, strlen(text), ids, n_ids, error);
    if (status != STATUS_OK)
        error_prefix(error, "%s", field);
    return status;
}

static enum status pin_text(const struct served_model *model, const char *field, const char *text,
                            struct piece *piece, struct error *error)
{
    enum status status = request_encode(model, field, text, &piece->ids, &piece->n, error);
    if (status == STATUS_OK && piece->n > (size_t)model->config.max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: %zu tokens; the model allows %d positions in all", field, piece->n,
                         model->config.max_length);
    return status;
}

static enum status layout_prompt(const Millrace__V1__GenerateRequest *wire, const struct served_model *model,
                                 struct layout *layout, struct error *error)
{
    const char *prompt = wire->input_case == MILLRACE__V1__GENERATE_REQUEST__INPUT_PROMPT ? wire->prompt : "";
    layout->n_pieces = 2;
    layout->pieces = calloc(2, sizeof *layout->pieces); /* the second: the gap behind it */
    if (!layout->pieces)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request");
    return pin_text(model, "prompt", prompt, &layout->pieces[0], error);
}

static enum status layout_segment(const Millrace__V1__Segment *segment, size_t index,
                                  const struct served_model *model, struct piece *piece, struct error *error)
{
    char field[48];
    snprintf(field, sizeof field, "infill.segments[%zu]", index);
    if (segment->kind_case == MILLRACE__V1__SEGMENT__KIND_TEXT)
        return pin_text(model, field, segment->text, piece, error);
    if (segment->kind_case != MILLRACE__V1__SEGMENT__KIND_GAP)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: is neither text nor gap", field);
    if (segment->gap > (uint32_t)model->config.max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: a gap of %u; the model allows %d positions in all", field, segment->gap,
                         model->config.max_length);
    piece->n = segment->gap;
    return STATUS_OK;
}

static enum status layout_infill(const Millrace__V1__Infill *infill, const struct served_model *model,
                                 struct layout *layout, struct error *error)
{
    size_t most = 2 * (size_t)model->config.max_length + 1, n_gaps = 0;
    if (infill->n_segments > most)
        return error_set(error, STATUS_INVALID_ARGUMENT, "infill.segments: %zu; at most %zu make sense",
                         infill->n_segments, most);
    layout->pieces = calloc(infill->n_segments + 1, sizeof *layout->pieces);
    if (!layout->pieces)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request");
    layout->n_pieces = infill->n_segments;
    for (size_t i = 0; i < infill->n_segments; i++) {
        enum status status = layout_segment(infill->segments[i], i, model, &layout->pieces[i], error);
        if (status != STATUS_OK)
            return status;
        n_gaps += !layout->pieces[i].ids;
    }
    if (!n_gaps)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "infill: none of its %zu segments is a gap: nothing would be left to write",
                         infill->n_segments);
    return STATUS_OK;
}

/* What the pieces add up to, open gaps not counted, and the number of those. */
static size_t layout_sum(const struct layout *layout, size_t *n_open)
{
    size_t sum = 0;
    *n_open = 0;
    for (size_t i = 0; i < layout->n_pieces; i++) {
        sum += layout->pieces[i].n;
        *n_open += !layout->pieces[i].ids && !layout->pieces[i].n;
    }
    return sum;
}

/* Where the client leaves the length to us: the trained one, or as much again as is given when that leaves
 * too little. */
static size_t default_length(size_t sum, size_t n_open, const struct model_config *config)
{
    size_t length = (size_t)config->trained_length;
    if (!n_open)
        return sum;
    if (sum + n_open > length)
        length += sum;
    return length < (size_t)config->max_length ? length : (size_t)config->max_length;
}

/* Finds the length and gives open gaps their share of it. */
static enum status settle_length(const Millrace__V1__GenerateRequest *wire, const struct model_config *config,
                                 struct layout *layout, struct request *request, struct error *error)
{
    const char *field =
        wire->input_case == MILLRACE__V1__GENERATE_REQUEST__INPUT_INFILL ? "infill" : "prompt";
    bool given = wire->length_choice_case == MILLRACE__V1__GENERATE_REQUEST__LENGTH_CHOICE_LENGTH;
    size_t n_open, sum = layout_sum(layout, &n_open);
    size_t length = given ? wire->length : default_length(sum, n_open, config);
    if (length > (size_t)config->max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: its parts add up to %zu; the model allows %d",
                         field, sum, config->max_length);
    if (!n_open && sum != length)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: its parts add up to %zu, but length is %zu",
                         field, sum, length);
    if (sum + n_open > length)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "%s: %zu positions are given, which leaves nothing to write in a length of %zu (at most %d)",
            field, sum, length, config->max_length);
    size_t left = length - sum, nth = 0;
    for (size_t i = 0; i < layout->n_pieces && n_open; i++) {
        struct piece *piece = &layout->pieces[i];
        if (!piece->ids && !piece->n) {
            piece->n = left / n_open + (nth < left % n_open);
            nth++;
        }
    }
    request->length = (int)length;
    return STATUS_OK;
}

static enum status allocate_positions(struct request *request, struct error *error)
{
    request->ids = calloc((size_t)request->length, sizeof *request->ids);
    request->editable = calloc((size_t)request->length, sizeof *request->editable);
    if (request->ids && request->editable)
        return STATUS_OK;
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d positions", request->length);
}

static void place(const struct layout *layout, struct request *request)
{
    size_t position = 0;
    for (size_t i = 0; i < layout->n_pieces; i++) {
        const struct piece *piece = &layout->pieces[i];
        if (piece->ids)
            memcpy(request->ids + position, piece->ids, piece->n * sizeof *piece->ids);
        else
            memset(request->editable + position, 1, piece->n);
        position += piece->n;
    }
}

static enum status place_text(const Millrace__V1__GenerateRequest *wire, const struct served_model *model,
                              struct request *request, struct error *error)
{
    struct layout layout = {0};
    enum status status = wire->input_case == MILLRACE__V1__GENERATE_REQUEST__INPUT_INFILL
                             ? layout_infill(wire->infill, model, &layout, error)
                             : layout_prompt(wire, model, &layout, error);
    if (status == STATUS_OK)
        status = settle_length(wire, &model->config, &layout, request, error);
    if (status == STATUS_OK)
        status = allocate_positions(request, error);
    if (status == STATUS_OK)
        place(&layout, request);
    layout_release(&layout);
    return status;
}

/* ---- ids of the client's own making ---- */

static enum status check_token_counts(const Millrace__V1__GenerateRequest *wire,
                                      const struct model_config *config, struct error *error)
{
    const Millrace__V1__TokenInput *tokens = wire->tokens;
    bool given = wire->length_choice_case == MILLRACE__V1__GENERATE_REQUEST__LENGTH_CHOICE_LENGTH;
    if (tokens->n_ids < 1 || tokens->n_ids > (size_t)config->max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT, "tokens.ids: %zu of them; 1 to %d are allowed",
                         tokens->n_ids, config->max_length);
    if (tokens->editable.len != tokens->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "tokens.editable: %zu bytes for %zu ids",
                         tokens->editable.len, tokens->n_ids);
    if (given && wire->length != tokens->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "length: %u, but tokens.ids has %zu", wire->length,
                         tokens->n_ids);
    return STATUS_OK;
}

static enum status place_token(const Millrace__V1__TokenInput *tokens, size_t i,
                               const struct model_config *config, struct request *request,
                               struct error *error)
{
    if (tokens->editable.data[i] > 1)
        return error_set(error, STATUS_INVALID_ARGUMENT, "tokens.editable[%zu]: %u is neither 0 nor 1", i,
                         tokens->editable.data[i]);
    request->editable[i] = tokens->editable.data[i];
    if (request->editable[i])
        return STATUS_OK; /* its value is ignored */
    if (tokens->ids[i] >= (uint32_t)config->vocabulary)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "tokens.ids[%zu]: %u is not below the vocabulary's %d", i, tokens->ids[i],
                         config->vocabulary);
    request->ids[i] = (int32_t)tokens->ids[i];
    return STATUS_OK;
}

static enum status place_tokens(const Millrace__V1__GenerateRequest *wire, const struct model_config *config,
                                struct request *request, struct error *error)
{
    enum status status = check_token_counts(wire, config, error);
    if (status != STATUS_OK)
        return status;
    request->length = (int)wire->tokens->n_ids;
    status = allocate_positions(request, error);
    for (size_t i = 0; status == STATUS_OK && i < wire->tokens->n_ids; i++)
        status = place_token(wire->tokens, i, config, request, error);
    if (status == STATUS_OK && !memchr(request->editable, 1, (size_t)request->length))
        status = error_set(error, STATUS_INVALID_ARGUMENT,
                           "tokens.editable: all %d positions are pinned: nothing would be left to write",
                           request->length);
    return status;
}

/* ---- the starting state ---- */

/* x_0: uniform over the vocabulary, or all mask tokens. */
static void fill_editable(const struct model_config *config, struct request *request)
{
    request->n_pinned = 0;
    for (int i = 0; i < request->length; i++) {
        double u = philox_uniform(request->seed, 0, (uint32_t)i, PHILOX_INITIAL);
        if (!request->editable[i])
            request->n_pinned++;
        else if (config->source == SOURCE_MASK)
            request->ids[i] = config->mask_token;
        else
            request->ids[i] = (int32_t)floor(u * config->vocabulary);
    }
}

enum status request_from_wire(const Millrace__V1__GenerateRequest *wire, const struct served_model *model,
                              struct request *request, struct error *error)
{
    struct request made = {0};
    enum status status = request_check_model(wire->model, model, error);
    if (status == STATUS_OK)
        status = choose(wire, &model->config, &made, error);
    if (status == STATUS_OK)
        status = wire->input_case == MILLRACE__V1__GENERATE_REQUEST__INPUT_TOKENS
                     ? place_tokens(wire, &model->config, &made, error)
                     : place_text(wire, model, &made, error);
    if (status != STATUS_OK) {
        request_release(&made);
        return status;
    }
    fill_editable(&model->config, &made);
    *request = made;
    return STATUS_OK;
}
