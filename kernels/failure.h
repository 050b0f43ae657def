#ifndef MILLRACE_KERNELS_FAILURE_H
#define MILLRACE_KERNELS_FAILURE_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A device keeps its first failure until a wait returns it (backend.h, "Order and errors"). STATUS_OK: none.
 */

/* Keeps this failure, unless there is one already. */
void failure_keep(struct error *failure, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Copies the failure into `error`, if there is one; returns its status. */
enum status failure_tell(const struct error *failure, struct error *error);

/* Whether an operation of this size may run: nothing has failed yet, and the device was opened for such a
 * size. A size that is too large becomes the failure. 0 rows or 0 columns are accepted, and the caller then
 * computes nothing. */
bool failure_accepts(struct error *failure, const char *operation, int64_t rows, int max_rows,
                     int64_t columns, int max_columns);

#ifdef __cplusplus
}
#endif

#endif
