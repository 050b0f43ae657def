#include "cli/generate/solver_name.h"

enum status solver_from_name(const char *name, enum solver *solver, struct error *error)
{
    return solver_find(name, solver)
               ? STATUS_OK
               : error_set(error, STATUS_INVALID_ARGUMENT,
                           "--solver is cumulative, euler, dfm or stratified, not '%.40s'", name);
}
