#ifndef MILLRACE_COMMON_MODEL_PUBLISHED_H
#define MILLRACE_COMMON_MODEL_PUBLISHED_H

#include <jansson.h>

#include "common/model/config.h"

/*
 * config.json as the authors of MDLM, SEDD, Duo, UDLM, GIDD and BD3-LM publish it (docs/models.md). Each
 * family has a table of the keys that it knows. A key that only training reads is ignored. A key that is in
 * no table is refused by name, because it might change what the network computes.
 */

/* Whether the object is such a config, and not one in our own format. */
bool published_is(const json_t *object);

/* Fills *config, with its architecture's name. The caller completes it (model_config_complete).
 * INVALID_ARGUMENT names the key, its value and what it must be. */
enum status published_read(json_t *object, struct model_config *config, struct error *error);

#endif
