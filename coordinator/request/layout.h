#ifndef MILLRACE_COORDINATOR_REQUEST_LAYOUT_H
#define MILLRACE_COORDINATOR_REQUEST_LAYOUT_H

#include "coordinator/request/draft.h"
#include "coordinator/request/generate_options.h"
#include "coordinator/request/served_model.h"

/*
 * Makes the draft of a request that gives text (INPUT_PROMPT, INPUT_INFILL). The text is a list of pieces:
 * pinned ids or gaps. The length of an infill is known only when all its texts are tokenized. Then open gaps
 * get equal shares of the positions that are left; the first gaps get one more where that does not divide
 * evenly. INVALID_ARGUMENT names the field, its value and the limit.
 */
enum status layout_draft(const struct generate_options *options, const struct served_model *model,
                         struct draft *draft, struct error *error);

#endif
