#ifndef MILLRACE_CLI_GENERATE_SOLVER_NAME_H
#define MILLRACE_CLI_GENERATE_SOLVER_NAME_H

#include "common/solver.h"
#include "common/status.h"

/* What the options of `generate` and `eval` say of --solver. */
#define SOLVER_HELP                                                                                         \
    "How steps move the text: cumulative; euler, the reference's baseline; dfm, for teachers; stratified, " \
    "cumulative with its jumps spread evenly. Without it: the model's own."

/* The solver of that name. INVALID_ARGUMENT names those that there are. */
enum status solver_from_name(const char *name, enum solver *solver, struct error *error);

#endif
