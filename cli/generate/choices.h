#ifndef MILLRACE_CLI_GENERATE_CHOICES_H
#define MILLRACE_CLI_GENERATE_CHOICES_H

#include "common/solver.h"
#include "common/status.h"
#include "proto/millrace.pb-c.h"

/* Reads what was typed for a request into its message. INVALID_ARGUMENT names the option and what it takes. A
 * NULL text leaves the message as it is. */
enum status choice_read_seed(const char *text, Millrace__V1__GenerateRequest *message, struct error *error);
/* "16", "auto", "auto:4" (at least) or "auto:4-32"; the message then points to `auto_steps`. */
enum status choice_read_steps(const char *text, Millrace__V1__GenerateRequest *message,
                              Millrace__V1__AutoSteps *auto_steps, struct error *error);
/* "high", "normal", "low" */
enum status choice_read_priority(const char *name, Millrace__V1__GenerateRequest *message,
                                 struct error *error);

/* What the options of `generate` and `eval` say of --solver. */
#define SOLVER_HELP                                                                                         \
    "How steps move the text: cumulative; euler, the reference's baseline; dfm, for teachers; stratified, " \
    "cumulative with its jumps spread evenly. Published models of others: ancestral, greedy, analytic, "    \
    "score-euler, remasking, first-hitting (docs/solvers.md). Without it: the model's own."

/* The solver of that name. INVALID_ARGUMENT names those that there are. */
enum status solver_from_name(const char *name, enum solver *solver, struct error *error);
enum status choice_read_solver(const char *name, Millrace__V1__GenerateRequest *message, struct error *error);

#endif
