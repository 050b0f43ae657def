#ifndef MILLRACE_CLI_EVAL_WRITING_H
#define MILLRACE_CLI_EVAL_WRITING_H

#include "cli/eval/progress.h"
#include "cli/eval/sample.h"
#include "cli/eval/task.h"
#include "common/solver.h"
#include "common/rpc/client.h"

/* Lets a cluster write a text for every task, several at a time. */
struct writing_options {
    struct rpc_channel *channel;
    const char *model; /* recorded with each text */
    const struct task_list *tasks;
    uint32_t steps;
    uint64_t seed; /* of the first text; the next has the next */
    float temperature;
    enum solver solver;
    size_t in_flight;
    double timeout_s; /* of one text */
};

/*
 * Adds a sample for every task, in the order of the tasks, not in the order in which texts are finished.
 * *seconds is the time that all texts took together. The function ends with the first text that fails, and
 * returns that text's status. CANCELLED when the user interrupts.
 */
enum status writing_run(const struct writing_options *options, const struct progress *progress,
                        struct sample_list *list, double *seconds, struct error *error);

#endif
