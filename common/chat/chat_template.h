#ifndef MILLRACE_COMMON_CHAT_CHAT_TEMPLATE_H
#define MILLRACE_COMMON_CHAT_CHAT_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "common/tokenizer/tokenizer.h"

/*
 * How a model wants messages written as one text: the `chat_template` of its directory, in the part of Jinja
 * that published templates use (docs/tokenizers.md). Texts are those of the `transformers` package. A
 * template may be hostile: memory, steps, depth and output are bounded, and it can read nothing but its
 * variables.
 *
 * Immutable after load: any number of threads may render with one template.
 */
struct chat_template;

/* Reads DIRECTORY/chat_template.jinja, else chat_template in tokenizer_config.json; bos_token and its like
 * from tokenizer_config.json or special_tokens_map.json. NOT_FOUND: the directory has no template.
 * INVALID_ARGUMENT names what is not supported. */
enum status chat_template_load(const char *directory, struct chat_template **made, struct error *error);
/* `variables`: more names that the template may use, or NULL. Not kept. */
enum status chat_template_parse(const char *source, size_t size_bytes, json_t *variables, const char *where,
                                struct chat_template **made, struct error *error);
void chat_template_free(struct chat_template *made); /* NULL is allowed */

struct chat_message {
    const char *role, *content;
    size_t content_bytes; /* of valid UTF-8 */
};

struct chat_options {
    bool add_generation_prompt; /* the text ends where the assistant's answer begins */
    json_t *variables;          /* an object of more names ("enable_thinking": false), or NULL */
};

/* A text, and who wrote which byte of it. */
struct chat_text {
    char *bytes; /* valid UTF-8, with a NUL behind */
    size_t size_bytes;
    unsigned char *users; /* [size_bytes]: not 0 where a byte comes from a message or a variable */
};
void chat_text_release(struct chat_text *text);

/* INVALID_ARGUMENT: the template refuses these messages, in its own words (as an unknown role), or cannot be
 * run. */
enum status chat_template_render(const struct chat_template *template, const struct chat_message *messages,
                                 size_t n_messages, const struct chat_options *options,
                                 struct chat_text *text, struct error *error);

/* The ids of a rendered text: special tokens count where the template wrote them, and are ordinary text where
 * a user did, unless `users_may_write_special`. The caller frees *ids. */
enum status chat_text_encode(const struct chat_text *text, const struct tokenizer *tokenizer,
                             bool users_may_write_special, int32_t **ids, size_t *n_ids, struct error *error);

#endif
