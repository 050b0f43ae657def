#ifndef MILLRACE_COORDINATOR_HTTP_JSON_FIELDS_H
#define MILLRACE_COORDINATOR_HTTP_JSON_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"

/*
 * Reads the members of a JSON object by a table of fields. So a member that no row knows is refused, with the
 * nearest name, and none is ignored. A member that is null counts as not given. Every error is
 * INVALID_ARGUMENT, and its sentence begins with the name of the field.
 */
struct json_field {
    const char *name;  /* as it stands in the object */
    const char *shown; /* as sentences name it: "millrace.steps" */
    enum status (*read)(const struct json_field *field, const json_t *value, void *into, struct error *error);
    size_t offset;      /* of the value in `into`, for the readers below */
    size_t given;       /* of a bool that says that it was given; 0: none */
    double least, most; /* of numbers, inclusive */
};

/* `fields` ends with .name = NULL. `object`: its name in sentences; "": it is the body. */
enum status json_fields_read(const struct json_field *fields, const json_t *json, const char *object,
                             void *into, struct error *error);

/* Parses a body. INVALID_ARGUMENT says where it is not JSON; members given twice, NaN and halves of surrogate
 * pairs are not. It must be an object. */
enum status json_body_parse(const char *text, size_t size, json_t **json, struct error *error);

/* Readers. The member of `into` at `offset` is a bool, a uint32_t, a double, a const char * of the JSON. */
enum status json_read_bool(const struct json_field *, const json_t *, void *, struct error *);
enum status json_read_count(const struct json_field *, const json_t *, void *, struct error *);
enum status json_read_number(const struct json_field *, const json_t *, void *, struct error *);
enum status json_read_text(const struct json_field *, const json_t *, void *, struct error *);
/* Takes only the number `least`, which changes nothing: what else it may be is not done here. */
enum status json_refuse_but(const struct json_field *, const json_t *, void *, struct error *);
/* Refuses whatever it is, but an empty object or array. */
enum status json_refuse(const struct json_field *, const json_t *, void *, struct error *);

/* Is it a whole number that a json_int_t holds? 5.0 is one, as JSON Schema has it. */
bool json_whole(const json_t *json, json_int_t *number);

/* "a string", "an array" ..., for sentences. */
const char *json_kind(const json_t *json);

#endif
