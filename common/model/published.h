#ifndef MILLRACE_COMMON_MODEL_PUBLISHED_H
#define MILLRACE_COMMON_MODEL_PUBLISHED_H

#include <jansson.h>

#include "common/model/config.h"

/*
 * config.json as the authors of MDLM, SEDD, Duo, UDLM, GIDD and BD3-LM publish it (docs/models.md). Each
 * family has a table of the keys that it knows. A key that only training reads is ignored. A key that is in
 * no table is refused by name, because it might change what the network computes.
 */

/* Whether the object is such a config, and not one in our own format. */
bool published_is(const json_t *object);

/* Fills all of *config but its name, which is the architecture's. INVALID_ARGUMENT names the key, its value
 * and what it must be. */
enum status published_read(json_t *object, struct model_config *config, struct error *error);

/* A model that is published, for `millrace models`. The list is for people; the readers do not use it. */
struct published_model {
    enum architecture architecture;
    const char *name;      /* on the hub of models; or where to find it */
    const char *size;      /* "170M" */
    const char *licence;   /* of the weights, as their page says; "not stated" where it says nothing */
    const char *files;     /* what to fetch besides config.json */
    const char *convert;   /* options of `millrace convert`; NULL: the directory is served as it is */
    const char *tokenizer; /* where its tokenizer.json is; NULL: beside the weights */
};
const struct published_model *published_model_at(int index); /* NULL past the last */

#endif
