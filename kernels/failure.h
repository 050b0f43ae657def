#ifndef MILLRACE_KERNELS_FAILURE_H
#define MILLRACE_KERNELS_FAILURE_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A device's first failure, which it keeps until somebody waits (backend.h, "Order and errors"); status
 * STATUS_OK: none. */

/* Keeps this one, unless there is one already. */
void failure_keep(struct error *failure, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether an operation of that size may run: nothing failed yet, and it is within what the device was opened
 * for. A size that is not becomes the failure. No rows or no columns are accepted; computing nothing is the
 * caller's part. */
bool failure_accepts(struct error *failure, const char *operation, int64_t rows, int max_rows,
                     int64_t columns, int max_columns);

#ifdef __cplusplus
}
#endif

#endif
