#ifndef MILLRACE_CLI_CHECK_INSPECTION_H
#define MILLRACE_CLI_CHECK_INSPECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/model/config.h"
#include "common/model/tensors.h"

/* What `millrace inspect` found out about a model directory. */
struct inspection {
    const char *directory; /* not owned */
    struct model_config config;
    struct tensors *tensors;
    char fingerprint[17];
    int n_tokens; /* of the tokenizer; -1: the directory has none */
    char *origin; /* JSON, or NULL */
    int n_ranks;  /* of tensor parallelism */
    uint64_t largest_rank_bytes, smallest_rank_bytes, replicated_bytes;
};

/* Opens and checks everything. The inspection is released only after STATUS_OK. */
enum status inspection_open(const char *directory, int n_ranks, struct inspection *inspection,
                            struct error *error);
void inspection_release(struct inspection *inspection);

/* For people, and for programs (one JSON object). */
void inspection_print(const struct inspection *inspection, bool with_tensors, FILE *out);
enum status inspection_print_json(const struct inspection *inspection, bool with_tensors, FILE *out,
                                  struct error *error);

#endif
