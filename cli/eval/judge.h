#ifndef MILLRACE_CLI_EVAL_JUDGE_H
#define MILLRACE_CLI_EVAL_JUDGE_H

#include "cli/eval/progress.h"
#include "cli/eval/sample.h"

/*
 * A language model of somebody else's that says how surprising a text is: a program that reads JSON lines and
 * answers each (docs/eval.md, "Judges"). It is started once and asked about any number of texts.
 */
struct judge;

/*
 * Starts `command`, one program with its arguments as the shell reads them, and waits for its first line,
 * which names it. Its standard error is ours. A judge that says nothing for `timeout_s`, ends, or says what
 * is not in the protocol, here and below: FAILED_PRECONDITION or DATA_LOSS with one sentence that quotes it.
 * CANCELLED when the user interrupts.
 */
enum status judge_open(const char *command, double timeout_s, struct judge **judge, struct error *error);

/* "SmolLM2-135M-Instruct.Q4_1" */
const char *judge_name(const struct judge *judge);

/* Fills nll and n_judge_tokens of all samples. After a failure the judge can only be closed. */
enum status judge_score(struct judge *judge, struct sample *samples, size_t n,
                        const struct progress *progress, struct error *error);

/* Ends it: its input is closed, and what does not end by itself is ended. NULL is allowed. */
void judge_close(struct judge *judge);

#endif
