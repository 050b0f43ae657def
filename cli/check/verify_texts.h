#ifndef MILLRACE_CLI_CHECK_VERIFY_TEXTS_H
#define MILLRACE_CLI_CHECK_VERIFY_TEXTS_H

#include <jansson.h>

/* Holds DIRECTORY/tokenizer.json and DIRECTORY/chat.json, where they are lists of "vectors", against the
 * tokenizer and the chat template of DIRECTORY/model. Adds a finding for each (worker/verify/report.h says
 * what that is). */
void verify_texts(const char *directory, json_t *findings);

#endif
