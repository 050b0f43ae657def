#ifndef MILLRACE_CLI_CONVERT_CONVERT_ELEMENTS_H
#define MILLRACE_CLI_CONVERT_CONVERT_ELEMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/dtype.h"

/* to[i] = from[i] rounded to nearest, ties to even. `from_dtype` is any floating dtype, `to_dtype` is F32 or
 * BF16. Neither side needs to be aligned. `floats` is working room for n. false: a value is not finite, and
 * the rest is not converted. */
bool convert_elements(enum dtype from_dtype, const void *from, size_t n, enum dtype to_dtype, void *to,
                      float *floats);

#endif
