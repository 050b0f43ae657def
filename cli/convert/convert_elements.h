#ifndef MILLRACE_CLI_CONVERT_CONVERT_ELEMENTS_H
#define MILLRACE_CLI_CONVERT_CONVERT_ELEMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/dtype.h"

/* to[i] = from[i] rounded to nearest, ties to even. `from_dtype` is any floating one, `to_dtype` F32 or BF16;
 * neither side need be aligned; `floats` has room for n. False when a value is not finite (then the rest is
 * not done). */
bool convert_elements(enum dtype from_dtype, const void *from, size_t n, enum dtype to_dtype, void *to,
                      float *floats);

#endif
