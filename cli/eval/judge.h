#ifndef MILLRACE_CLI_EVAL_JUDGE_H
#define MILLRACE_CLI_EVAL_JUDGE_H

#include "cli/eval/progress.h"
#include "cli/eval/sample.h"

/*
 * A judge is a program with a language model of its own, which says how surprising a text is. It reads JSON
 * lines and answers each (docs/eval.md, "Judges"). It is started once and asked about any number of texts.
 */
struct judge;

/*
 * Starts `command`, one program with its arguments as the shell reads them, and waits for its first line,
 * which names the judge. Its standard error is ours. Here and below: FAILED_PRECONDITION or DATA_LOSS, with a
 * sentence that quotes the judge, when it says nothing for `timeout_s`, ends, or breaks the protocol.
 * CANCELLED when the user interrupts.
 */
enum status judge_open(const char *command, double timeout_s, struct judge **judge, struct error *error);

/* "SmolLM2-135M-Instruct.Q4_1" */
const char *judge_name(const struct judge *judge);

/* Fills nll and n_judge_tokens of all samples. After a failure the judge can only be closed. */
enum status judge_score(struct judge *judge, struct sample *samples, size_t n,
                        const struct progress *progress, struct error *error);

/* Closes the judge's input, and kills it when it does not end by itself. NULL is allowed. */
void judge_close(struct judge *judge);

#endif
