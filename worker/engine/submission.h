#ifndef MILLRACE_WORKER_ENGINE_SUBMISSION_H
#define MILLRACE_WORKER_ENGINE_SUBMISSION_H

#include "worker/engine/batch.h"

/* The only place where the engine reads a message of the wire (replica.proto, Submit). */

/* Fills `input` from `submission`, a Millrace__Replica__V1__Submit. The pointers in `input` point into the
 * submission. INVALID_ARGUMENT: its lists have different lengths. */
enum status submission_read(const void *submission, struct sequence_input *input, struct error *error);

void submission_free(void *submission);

#endif
