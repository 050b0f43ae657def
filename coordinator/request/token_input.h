#ifndef MILLRACE_COORDINATOR_REQUEST_TOKEN_INPUT_H
#define MILLRACE_COORDINATOR_REQUEST_TOKEN_INPUT_H

#include "common/model/config.h"
#include "coordinator/request/draft.h"
#include "coordinator/request/generate_options.h"

/* Makes the draft of a request whose client has a tokenizer of its own (INPUT_TOKENS). INVALID_ARGUMENT names
 * the field, its value and the limit. */
enum status token_input_draft(const struct generate_options *options, const struct model_config *config,
                              struct draft *draft, struct error *error);

#endif
