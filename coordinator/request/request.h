#ifndef MILLRACE_COORDINATOR_REQUEST_REQUEST_H
#define MILLRACE_COORDINATOR_REQUEST_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/config.h"
#include "common/solver.h"
#include "common/status.h"
#include "common/tokenizer/tokenizer.h"
#include "common/trace.h"
#include "proto/millrace.pb-c.h"

/* What a client may ask for; the model's own limits are in its config. */
#define LEAST_TEMPERATURE 0.01f
#define MOST_TEMPERATURE 100.0f

/* Who goes first, best first. */
enum request_class { CLASS_HIGH, CLASS_NORMAL, CLASS_LOW, CLASS_COUNT };

/* Under which conditions it is asked for. Zeroed: none. */
struct request_terms {
    char caller[64];                  /* for limits by client */
    int64_t max_requests, max_tokens; /* of that caller; 0: the default, -1: none */
    double deadline_at;               /* monotonic seconds; 0: none */
};

/* A request that can run: every field is checked, every default is filled in. */
struct request {
    int length;        /* positions */
    int n_pinned;      /* of them never change */
    int steps;         /* of automatic steps, until it is accepted: the most */
    int steps_least;   /* of automatic steps; 0: steps are what was asked for */
    int steps_default; /* of the model */
    uint64_t seed;
    float temperature;
    enum solver solver;
    bool revise;
    enum request_class class;
    uint32_t most_changes; /* of a step; 0: no limit */
    int32_t *ids;          /* [length]: the starting state; below the model's n_ids */
    uint8_t *editable;     /* [length]: 1 where it may change; at least one is */
    struct trace trace;    /* its caller's, for the logs */
    struct request_terms terms;
    double estimated_seconds; /* until it is finished, when it was accepted; 0: not known */
};

/* The model that is served, as far as text is concerned. Immutable. */
struct served_model {
    struct model_config config;
    struct tokenizer *tokenizer;
    char fingerprint[17];
};

/*
 * Checks a message and makes a request of it. INVALID_ARGUMENT (NOT_FOUND for the model) names the field, its
 * value and the limit. Without a seed in the message the operating system draws one. request_release frees
 * what it holds.
 */
enum status request_from_wire(const Millrace__V1__GenerateRequest *wire, const struct served_model *model,
                              struct request *request, struct error *error);
void request_release(struct request *request);

/* Is it the model that is served? "" means that. NOT_FOUND otherwise. */
enum status request_check_model(const char *name, const struct served_model *model, struct error *error);

/* The ids of a text; INVALID_ARGUMENT names `field`. *ids is the caller's to free. */
enum status request_encode(const struct served_model *model, const char *field, const char *text,
                           int32_t **ids, size_t *n_ids, struct error *error);

#endif
