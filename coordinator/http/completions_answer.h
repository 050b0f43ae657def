#ifndef MILLRACE_COORDINATOR_HTTP_COMPLETIONS_ANSWER_H
#define MILLRACE_COORDINATOR_HTTP_COMPLETIONS_ANSWER_H

#include <jansson.h>

#include "coordinator/request/request_sink.h"
#include "coordinator/request/served_model.h"

/* The JSON of completions (docs/api.md). Every function returns NULL without memory. */

/* What all objects of one answer have in common. */
struct completions_head {
    char id[48];       /* "cmpl-" and the id of the first choice's request */
    long long created; /* seconds since 1970 */
    const char *model, *fingerprint;
};

struct completions_usage {
    long prompt_tokens, completion_tokens;
};

/* An object with these choices; takes `choices` over. NULL: no choices. */
json_t *completions_json(const struct completions_head *head, json_t *choices);
/* A choice; takes `details` over, which become its member "millrace". finish_reason NULL: it goes on. */
json_t *completions_choice_json(size_t index, const char *text, const char *finish_reason, json_t *details);
json_t *completions_usage_json(const struct completions_usage *usage);

/* What is said of a choice under "millrace". */
json_t *completions_accepted_json(size_t index, const struct request_accepted *accepted);
json_t *completions_frame_json(size_t index, const struct served_model *model,
                               const struct request_frame *frame);
json_t *completions_ended_json(const char *request_id, const struct request_ended *ended, bool with_ids);

#endif
