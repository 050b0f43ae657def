#include "kernels/backend.h"

#include <string.h>

enum status backend_find(const char *name, const struct backend **backend, struct error *error)
{
    if (strcmp(name, "cpu") == 0 || strcmp(name, "auto") == 0) {
        *backend = &backend_cpu;
        return STATUS_OK;
    }
    if (strcmp(name, "cuda") == 0)
        return error_set(error, STATUS_UNAVAILABLE,
                         "backend \"cuda\" is not part of this build; use \"cpu\"");
    return error_set(error, STATUS_NOT_FOUND, "there is no backend \"%.64s\"; use \"cpu\" or \"auto\"", name);
}
