#include "common/solver.h"

#include <stdio.h>
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

const char *solver_names(char *text, size_t room)
{
    size_t used = 0;
    for (int i = 0; i < SOLVER_COUNT && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%s", i ? ", " : "", names[i]);
    return text;
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
