#ifndef MILLRACE_WORKER_ENGINE_SUBMISSION_H
#define MILLRACE_WORKER_ENGINE_SUBMISSION_H

#include "worker/engine/batch.h"

/* The only place where the engine's side reads a message of the wire (replica.proto, Submit). */

/* Views `submission` (a Millrace__Replica__V1__Submit) as input, which borrows its memory. */
enum status submission_read(const void *submission, struct sequence_input *input, struct error *error);

void submission_free(void *submission);

#endif
