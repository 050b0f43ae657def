#include "cli/generate/choices.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status choice_read_seed(const char *text, Millrace__V1__GenerateRequest *message, struct error *error)
{
    char *end;
    if (!text)
        return STATUS_OK;
    errno = 0;
    unsigned long long seed = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno == ERANGE)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "--seed needs a whole number from 0 to 2^64 - 1, not '%s'", text);
    message->seed_choice_case = MILLRACE__V1__GENERATE_REQUEST__SEED_CHOICE_SEED;
    message->seed = seed;
    return STATUS_OK;
}

/* "16", "auto", "auto:4" (at least) or "auto:4-32". */
static enum status read_auto_steps(const char *text, Millrace__V1__AutoSteps *steps)
{
    int end = 0;
    millrace__v1__auto_steps__init(steps);
    if (!strcmp(text, "auto"))
        return STATUS_OK;
    if (sscanf(text, "auto:%5" SCNu32 "%n", &steps->at_least, &end) == 1 && !text[end] && steps->at_least)
        return STATUS_OK;
    end = 0;
    bool both =
        sscanf(text, "auto:%5" SCNu32 "-%5" SCNu32 "%n", &steps->at_least, &steps->at_most, &end) == 2;
    return both && end && !text[end] && steps->at_least ? STATUS_OK : STATUS_INVALID_ARGUMENT;
}

enum status choice_read_steps(const char *text, Millrace__V1__GenerateRequest *message,
                              Millrace__V1__AutoSteps *auto_steps, struct error *error)
{
    enum { MOST = 65536 };
    char *end;
    if (!text)
        return STATUS_OK;
    long steps = strtol(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && steps >= 1 && steps <= MOST) {
        message->steps_choice_case = MILLRACE__V1__GENERATE_REQUEST__STEPS_CHOICE_STEPS;
        message->steps = (uint32_t)steps;
        return STATUS_OK;
    }
    message->steps_choice_case = MILLRACE__V1__GENERATE_REQUEST__STEPS_CHOICE_AUTO_STEPS;
    message->auto_steps = auto_steps;
    if (read_auto_steps(text, auto_steps) == STATUS_OK)
        return STATUS_OK;
    return error_set(
        error, STATUS_INVALID_ARGUMENT,
        "--steps needs a whole number from 1 to %d, or auto, auto:4 (at least) or auto:4-32, not '%s'", MOST,
        text);
}

enum status choice_read_priority(const char *name, Millrace__V1__GenerateRequest *message,
                                 struct error *error)
{
    static const char *const names[] = {[MILLRACE__V1__PRIORITY__NORMAL] = "normal",
                                        [MILLRACE__V1__PRIORITY__HIGH] = "high",
                                        [MILLRACE__V1__PRIORITY__LOW] = "low"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(name, names[i])) {
            message->priority = (Millrace__V1__Priority)i;
            return STATUS_OK;
        }
    }
    return error_set(error, STATUS_INVALID_ARGUMENT, "--priority is high, normal or low, not '%s'", name);
}

enum status solver_from_name(const char *name, enum solver *solver, struct error *error)
{
    char solvers[160];
    if (solver_find(name, solver))
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "--solver is one of %s, not '%.40s'",
                     solver_names(solvers, sizeof solvers), name);
}

enum status choice_read_solver(const char *name, Millrace__V1__GenerateRequest *message, struct error *error)
{
    enum solver solver;
    if (!name)
        return STATUS_OK;
    enum status status = solver_from_name(name, &solver, error);
    if (status == STATUS_OK)
        message->solver = (Millrace__V1__Solver)solver; /* the same numbers: common/solver.h */
    return status;
}
