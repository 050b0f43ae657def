#include "kernels/failure.h"

#include <stdarg.h>
#include <stdio.h>

void failure_keep(struct error *failure, enum status status, const char *format, ...)
{
    if (failure->status != STATUS_OK)
        return;
    char text[ERROR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    error_set(failure, status, "%s", text);
}

enum status failure_tell(const struct error *failure, struct error *error)
{
    return failure->status == STATUS_OK ? STATUS_OK : error_set(error, failure->status, "%s", failure->text);
}

bool failure_accepts(struct error *failure, const char *operation, int64_t rows, int max_rows,
                     int64_t columns, int max_columns)
{
    if (rows < 0 || rows > max_rows)
        failure_keep(failure, STATUS_OUT_OF_RANGE, "%s of %lld rows: the device was opened for at most %d",
                     operation, (long long)rows, max_rows);
    else if (columns < 0 || columns > max_columns)
        failure_keep(failure, STATUS_OUT_OF_RANGE, "%s of %lld columns: the device was opened for at most %d",
                     operation, (long long)columns, max_columns);
    return failure->status == STATUS_OK;
}
