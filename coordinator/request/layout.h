#ifndef MILLRACE_COORDINATOR_REQUEST_LAYOUT_H
#define MILLRACE_COORDINATOR_REQUEST_LAYOUT_H

#include "coordinator/request/draft.h"
#include "coordinator/request/generate_options.h"
#include "coordinator/request/served_model.h"

/*
 * The draft of a request that gives text: INPUT_PROMPT and INPUT_INFILL. The text is a list of pieces, pinned
 * ids or gaps. The length of an infill is known only when all its texts are tokenized; then open gaps
 * get equal shares of what is left, the first ones what does not divide. INVALID_ARGUMENT names the field,
 * its value and the limit.
 */
enum status layout_draft(const struct generate_options *options, const struct served_model *model,
                         struct draft *draft, struct error *error);

#endif
