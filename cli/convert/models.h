#ifndef MILLRACE_CLI_CONVERT_MODELS_H
#define MILLRACE_CLI_CONVERT_MODELS_H

#include "common/model/config.h"

/* What can be served of what is published, and how to get it. A list for people; tests/model/test_published.c
 * holds it against the readers. */
struct published_model {
    enum architecture architecture;
    const char *name;      /* on the hub of models, {a,b} for several */
    double millions;       /* of parameters; of the first */
    const char *licence;   /* of the weights; "see its page" where their authors' code does not say it */
    const char *files;     /* to fetch */
    const char *tokenizer; /* the hub's name of the model whose tokenizer.json it needs; NULL: its own */
    const char *config;    /* config.json as published, of the first */
};

/* NULL past the last. */
const struct published_model *published_model_at(int index);

/* `millrace models`: returns the exit status. */
int models_main(int argc, char **argv);

#endif
