#ifndef MILLRACE_COORDINATOR_REQUEST_GENERATE_OPTIONS_H
#define MILLRACE_COORDINATOR_REQUEST_GENERATE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/solver.h"
#include "common/trace.h"

/*
 * What a client may ask for, in plain C. An edge (gRPC is the first) fills this struct from its own messages,
 * and request_create checks it. So all doors to the cluster take the same requests, and refuse the same ones
 * with the same sentences. The sentences name options as proto/millrace.proto does.
 *
 * Zeroed options ask for an empty prompt with the model's defaults; only the class must be set, because the
 * highest is 0. The pointers stay the edge's; they are read until request_create returns.
 */

#define LEAST_TEMPERATURE 0.01f
#define MOST_TEMPERATURE 100.0f

/* Which requests go first: the classes in that order. */
enum request_class { CLASS_HIGH, CLASS_NORMAL, CLASS_LOW, CLASS_COUNT };

/* For whom a request runs, and under which conditions. Zeroed: an account without a name, the server's
 * default limits, the highest class, no deadline. */
struct request_terms {
    char caller[64];                  /* the account whose limits it counts against; fit for a log */
    int64_t max_requests, max_tokens; /* of that account at a time; 0: the server's default, -1: none */
    enum request_class class;
    double deadline_at; /* monotonic seconds (common/clock.h); 0: none */
    struct trace trace; /* the caller's, for the logs */
};

/* A piece of an infill, in the order of the text: a text, ids, or a gap where both are NULL. */
struct generate_segment {
    const char *text;    /* pinned; UTF-8 */
    const uint32_t *ids; /* pinned [n_ids]; below the vocabulary */
    size_t n_ids;
    uint32_t gap; /* positions to write; 0: an equal share of what the length leaves */
};

enum generate_input { INPUT_PROMPT, INPUT_INFILL, INPUT_TOKENS };
enum generate_steps { STEPS_DEFAULT, STEPS_FIXED, STEPS_AUTO };

struct generate_options {
    const char *model; /* NULL or "": the one that is served */

    enum generate_input input;
    const char *prompt; /* PROMPT: pinned at the beginning; UTF-8; NULL: nothing is pinned */
    const struct generate_segment *segments; /* INFILL [n_segments]; one gap at least */
    size_t n_segments;
    const uint32_t *ids; /* TOKENS [n_ids]: below the vocabulary where they are pinned, else ignored */
    size_t n_ids;
    const uint8_t *editable; /* TOKENS [n_editable = n_ids]: 0 pinned, 1 editable; one editable at least */
    size_t n_editable;

    bool length_is_set;
    uint32_t length; /* positions, pinned ones included; 1 to the model's max_length */

    enum generate_steps steps_choice;
    uint32_t steps;       /* FIXED: 1 to the model's max_steps */
    uint32_t steps_least; /* AUTO: 0 is 1 */
    uint32_t steps_most;  /* AUTO: 0 is the model's default; at most its max_steps */

    bool seed_is_set; /* else the operating system draws one */
    uint64_t seed;
    bool temperature_is_set; /* else 1 */
    float temperature;       /* divides the logits; LEAST_TEMPERATURE to MOST_TEMPERATURE */
    enum solver solver;
    bool plain_text;       /* special tokens that the prompt or the infill spells out are ordinary text */
    bool revise;           /* mask source: tokens that are revealed may change again */
    uint32_t most_changes; /* positions that one step but the last may change; 0: no limit */

    struct request_terms terms;
};

#endif
