#ifndef MILLRACE_KERNELS_PRECISION_H
#define MILLRACE_KERNELS_PRECISION_H

#include "kernels/backend.h"

/* "auto", "f32", "bf16", "fp8", "int8". */
const char *precision_text(enum precision precision);
/* INVALID_ARGUMENT names them. */
enum status precision_parse(const char *text, enum precision *precision, struct error *error);
/* What AUTO means on a backend; anything else is itself. */
enum precision precision_on(const struct backend *backend, enum precision precision);

#endif
