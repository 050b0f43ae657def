#ifndef MILLRACE_COMMON_OUTPUT_H
#define MILLRACE_COMMON_OUTPUT_H

#include "common/status.h"

/* Standard output as a program's result: what was not delivered was not done. Every program returns
 * output_finish's value from main. */

/* Hands on what has been printed so far. DATA_LOSS: it could not be, now or before. */
enum status output_deliver(struct error *error);

/* The exit code: `code`, or 1 with a sentence where all went well but for the output. A reader that has gone
 * away ends the program as SIGPIPE does. */
int output_finish(const char *program, int code);

#endif
