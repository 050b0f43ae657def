#include "common/solver.h"

#include <string.h>

static const char *const names[SOLVER_COUNT] = {
    [SOLVER_CUMULATIVE] = "cumulative", [SOLVER_MIXTURE_EULER] = "euler",
    [SOLVER_DFM_EULER] = "dfm",         [SOLVER_STRATIFIED] = "stratified",
    [SOLVER_ANCESTRAL] = "ancestral",   [SOLVER_GREEDY] = "greedy",
    [SOLVER_ANALYTIC] = "analytic",     [SOLVER_SCORE_EULER] = "score-euler",
    [SOLVER_REMASKING] = "remasking",   [SOLVER_FIRST_HITTING] = "first-hitting"};

const char *solver_name(enum solver solver)
{
    return (unsigned)solver < SOLVER_COUNT ? names[solver] : "unknown";
}

bool solver_find(const char *name, enum solver *solver)
{
    for (int i = 0; i < SOLVER_COUNT; i++) {
        if (!strcmp(name, names[i])) {
            *solver = (enum solver)i;
            return true;
        }
    }
    return false;
}
