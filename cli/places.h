#ifndef MILLRACE_CLI_PLACES_H
#define MILLRACE_CLI_PLACES_H

#include <limits.h>
#include <stddef.h>

#include "common/status.h"

/* Where the models are, seen from this executable: build/NAME/bin/millrace or PREFIX/bin/millrace. */

/* The model directory: `given` or, when that is NULL, MILLRACE_MODEL's, else the demonstration model. It must
 * hold a config.json; NOT_FOUND says how to name one. */
enum status place_of_model(const char *given, char path[PATH_MAX], struct error *error);

#endif
