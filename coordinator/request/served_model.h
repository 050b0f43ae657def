#ifndef MILLRACE_COORDINATOR_REQUEST_SERVED_MODEL_H
#define MILLRACE_COORDINATOR_REQUEST_SERVED_MODEL_H

#include "coordinator/request/request.h"

/* Reads config and tokenizer of a model directory, and the fingerprint that replicas must have too. */
enum status served_model_open(const char *directory, struct served_model *model, struct error *error);
void served_model_close(struct served_model *model);

#endif
