#include "coordinator/services/infer_parameters.h"

#include <math.h>
#include <string.h>

typedef Inference__InferParameter parameter; /* the generated names are long */
typedef Inference__ModelInferRequest__ParametersEntry entry;

#define IS(value, name) \
    ((value)->parameter_choice_case == INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_##name)

static enum status refuse(const char *name, const char *wanted, struct error *error)
{
    return error_set(error, STATUS_INVALID_ARGUMENT, "parameters.%s: %s", name, wanted);
}

/* ---- one value of one type ---- */

static enum status read_bool(const parameter *value, const char *name, bool *result, struct error *error)
{
    if (!IS(value, BOOL_PARAM))
        return refuse(name, "is no bool_param", error);
    *result = value->bool_param;
    return STATUS_OK;
}

static enum status read_integer(const parameter *value, const char *name, uint64_t most, uint64_t *result,
                                struct error *error)
{
    bool is_signed = IS(value, INT64_PARAM);
    if (!is_signed && !IS(value, UINT64_PARAM))
        return refuse(name, "is neither int64_param nor uint64_param", error);
    if (is_signed && value->int64_param < 0)
        return refuse(name, "is negative", error);
    *result = is_signed ? (uint64_t)value->int64_param : value->uint64_param;
    if (*result > most)
        return error_set(error, STATUS_INVALID_ARGUMENT, "parameters.%s: %llu is above %llu", name,
                         (unsigned long long)*result, (unsigned long long)most);
    return STATUS_OK;
}

static enum status read_count(const parameter *value, const char *name, uint32_t *result, struct error *error)
{
    uint64_t wide = 0;
    enum status status = read_integer(value, name, UINT32_MAX, &wide, error);
    if (status == STATUS_OK)
        *result = (uint32_t)wide;
    return status;
}

/* ---- each parameter ---- */

static enum status read_length(const parameter *value, const char *name, struct infer_wire *wire,
                               struct error *error)
{
    wire->options.length_is_set = true;
    return read_count(value, name, &wire->options.length, error);
}

static enum status read_steps(const parameter *value, const char *name, struct infer_wire *wire,
                              struct error *error)
{
    wire->options.steps_choice = STEPS_FIXED;
    return read_count(value, name, &wire->options.steps, error);
}

static enum status read_seed(const parameter *value, const char *name, struct infer_wire *wire,
                             struct error *error)
{
    wire->options.seed_is_set = true;
    return read_integer(value, name, UINT64_MAX, &wire->options.seed, error);
}

static enum status read_temperature(const parameter *value, const char *name, struct infer_wire *wire,
                                    struct error *error)
{
    if (!IS(value, DOUBLE_PARAM))
        return refuse(name, "is no double_param", error);
    wire->options.temperature_is_set = true;
    wire->options.temperature = (float)value->double_param;
    return STATUS_OK;
}

static enum status read_solver(const parameter *value, const char *name, struct infer_wire *wire,
                               struct error *error)
{
    if (!IS(value, STRING_PARAM))
        return refuse(name, "is no string_param", error);
    for (int i = 0; i < SOLVER_COUNT; i++) {
        wire->options.solver = (enum solver)i;
        if (!strcmp(value->string_param, solver_name((enum solver)i)))
            return STATUS_OK;
    }
    return error_set(error, STATUS_INVALID_ARGUMENT, "parameters.%s: there is no solver of this name", name);
}

static enum status read_revise(const parameter *value, const char *name, struct infer_wire *wire,
                               struct error *error)
{
    return read_bool(value, name, &wire->options.revise, error);
}

static enum status read_most_changes(const parameter *value, const char *name, struct infer_wire *wire,
                                     struct error *error)
{
    return read_count(value, name, &wire->options.most_changes, error);
}

static enum status read_plain_text(const parameter *value, const char *name, struct infer_wire *wire,
                                   struct error *error)
{
    return read_bool(value, name, &wire->options.plain_text, error);
}

static enum status read_frames(const parameter *value, const char *name, struct infer_wire *wire,
                               struct error *error)
{
    return read_bool(value, name, &wire->frames, error);
}

/* Triton's levels: 1 is the highest, and 0 is the server's own choice. */
static enum status read_priority(const parameter *value, const char *name, struct infer_wire *wire,
                                 struct error *error)
{
    static const enum request_class classes[] = {CLASS_NORMAL, CLASS_HIGH, CLASS_NORMAL, CLASS_LOW};
    uint64_t level = 0;
    enum status status = read_integer(value, name, 3, &level, error);
    if (status == STATUS_OK)
        wire->options.terms.class = classes[level];
    return status;
}

static enum status read_timeout(const parameter *value, const char *name, struct infer_wire *wire,
                                struct error *error)
{
    uint64_t microseconds = 0;
    enum status status = read_integer(value, name, INT64_MAX, &microseconds, error);
    if (status == STATUS_OK && microseconds > 0)
        wire->timeout_seconds = 1e-6 * (double)microseconds;
    return status;
}

/* Asks for an empty answer at the end of a stream of answers. Ours say which is the last, so that none is
 * needed; the client reads the same mark (triton_final_response) in both. */
static enum status read_final_response(const parameter *value, const char *name, struct infer_wire *wire,
                                       struct error *error)
{
    bool wanted;
    (void)wire;
    return read_bool(value, name, &wanted, error);
}

static const struct {
    const char *name;
    enum status (*read)(const parameter *value, const char *name, struct infer_wire *wire,
                        struct error *error);
} known[] = {
    {"length", read_length},
    {"steps", read_steps},
    {"seed", read_seed},
    {"temperature", read_temperature},
    {"solver", read_solver},
    {"revise", read_revise},
    {"most_changes", read_most_changes},
    {"plain_text", read_plain_text},
    {"frames", read_frames},
    {"priority", read_priority},
    {"timeout", read_timeout},
    {"triton_enable_empty_final_response", read_final_response},
};

enum { N_KNOWN = sizeof known / sizeof known[0] };

static enum status read_one(const entry *given, struct infer_wire *wire, struct error *error)
{
    static const parameter none = INFERENCE__INFER_PARAMETER__INIT;
    const parameter *value = given->value ? given->value : &none;
    for (int i = 0; i < N_KNOWN; i++) {
        if (!strcmp(given->key, known[i].name))
            return known[i].read(value, given->key, wire, error);
    }
    return error_set(
        error, STATUS_INVALID_ARGUMENT,
        "parameters.%.64s: is not known; there are length, steps, seed, temperature, solver, revise, "
        "most_changes, plain_text, frames, priority and timeout",
        given->key);
}

enum status infer_parameters_read(const Inference__ModelInferRequest *message, struct infer_wire *wire,
                                  struct error *error)
{
    enum status status = STATUS_OK;
    wire->options.terms.class = CLASS_NORMAL;
    wire->timeout_seconds = INFINITY;
    for (size_t i = 0; i < message->n_parameters && status == STATUS_OK; i++)
        status = read_one(message->parameters[i], wire, error);
    return status;
}
