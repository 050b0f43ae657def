#ifndef MILLRACE_COORDINATOR_REQUEST_SERVED_MODEL_H
#define MILLRACE_COORDINATOR_REQUEST_SERVED_MODEL_H

#include "common/model/config.h"
#include "common/status.h"
#include "common/tokenizer/tokenizer.h"

/* The model that is served, as far as text is concerned. Immutable. */
struct served_model {
    struct model_config config;
    struct tokenizer *tokenizer;
    char fingerprint[17];
    const char *directory; /* not owned */
};

/* Reads the config and the tokenizer of a model directory, and the fingerprint that its replicas must show.
 */
enum status served_model_open(const char *directory, struct served_model *model, struct error *error);
/* Does the directory still hold this model? FAILED_PRECONDITION says what it holds now. Reads some kilobytes
 * of each tensor. */
enum status served_model_check_unchanged(const struct served_model *model, struct error *error);

void served_model_close(struct served_model *model);

/* NOT_FOUND unless `name` is the model that is served. NULL and "" mean that one. */
enum status served_model_check_name(const struct served_model *model, const char *name, struct error *error);

/* Tokenizes a text; with `plain_text` the special tokens that it spells out are ordinary text.
 * INVALID_ARGUMENT names `field`. The caller frees *ids. */
enum status served_model_encode(const struct served_model *model, const char *field, const char *text,
                                bool plain_text, int32_t **ids, size_t *n_ids, struct error *error);

#endif
