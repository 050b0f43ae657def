#include "cli/solver_name.h"

#include <string.h>

enum status solver_from_name(const char *name, enum solver *solver, struct error *error)
{
    static const char *const names[SOLVER_COUNT] = {[SOLVER_CUMULATIVE] = "cumulative",
                                                    [SOLVER_MIXTURE_EULER] = "euler",
                                                    [SOLVER_DFM_EULER] = "dfm",
                                                    [SOLVER_STRATIFIED] = "stratified"};
    for (int i = 0; i < SOLVER_COUNT; i++) {
        if (!strcmp(name, names[i])) {
            *solver = (enum solver)i;
            return STATUS_OK;
        }
    }
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "--solver is cumulative, euler, dfm or stratified, not '%.40s'", name);
}
