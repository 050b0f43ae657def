#ifndef MILLRACE_COMMON_TOKENIZER_STEPS_H
#define MILLRACE_COMMON_TOKENIZER_STEPS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/status.h"

/*
 * Reading the stages of tokenizer.json: a stage is null, one step, or a Sequence of steps, which may hold
 * Sequences again. What a step has that is not known here is refused by name: a tokenizer that is nearly
 * right makes a model that is quietly wrong.
 */

/* Called for each step, in order. `type` is its "type". */
typedef enum status step_function(void *context, json_t *step, const char *type, struct error *error);

/* Calls `function` for each step of root[stage]. `list` is a Sequence's key. Every sentence begins with
 * "STAGE: ". */
enum status steps_visit(json_t *root, const char *stage, const char *list, step_function *function,
                        void *context, struct error *error);

/* "TYPE is not supported", with the step's type. */
enum status step_refuse(const char *type, struct error *error);

/* Every key with a value must be in the list of known ones, which ends with NULL; "type" always is. */
enum status step_check_keys(json_t *step, const char *const *known, struct error *error);

/* A key that must be there unless `fallback` is 0 or 1 (true). */
enum status step_boolean(json_t *step, const char *key, int fallback, bool *out, struct error *error);
enum status step_string(json_t *step, const char *key, const char **out, struct error *error);

#endif
