#ifndef MILLRACE_COORDINATOR_HTTP_COMPLETIONS_BODY_H
#define MILLRACE_COORDINATOR_HTTP_COMPLETIONS_BODY_H

#include <jansson.h>

#include "common/status.h"
#include "coordinator/request/generate_options.h"

/*
 * The body of POST /v1/completions (docs/api.md). It says what each of its choices is: one prompt, or several
 * prompts, n times each. What the fields mean for the model is request_create's to judge; here only their
 * kinds are checked, and what no model can do.
 */
enum { COMPLETIONS_MOST_CHOICES = 128, COMPLETIONS_MOST_STOPS = 4, COMPLETIONS_STOP_BYTES = 1024 };

/* A prompt: text, or ids. */
struct completions_prompt {
    const char *text; /* NULL: ids */
    uint32_t *ids;    /* [n_ids] */
    size_t n_ids;
};

struct completions_body {
    json_t *json; /* its strings are pointed to */

    struct completions_prompt *prompts; /* [n_prompts] */
    size_t n_prompts;
    const char *model, *suffix, *user;
    uint32_t max_tokens, n, best_of;
    bool max_tokens_is_set, best_of_is_set;
    double temperature;
    bool temperature_is_set;
    const char *stops[COMPLETIONS_MOST_STOPS];
    size_t n_stops;
    bool echo, stream, include_usage;
    bool seed_is_set;
    uint64_t seed; /* of the first choice; each next one has one more */

    /* Under "millrace". */
    bool frames, plain_text, revise;
    enum generate_steps steps_choice;
    uint32_t steps, steps_least, steps_most, most_changes;
    enum solver solver;
    bool solver_is_set;
    enum request_class class;
    double deadline_seconds;           /* 0: none */
    struct generate_segment *segments; /* [n_segments] instead of a prompt; NULL: none */
    size_t n_segments;
};

/* INVALID_ARGUMENT names the field. Release after STATUS_OK. */
enum status completions_body_read(const char *text, size_t size, struct completions_body *body,
                                  struct error *error);
void completions_body_release(struct completions_body *body);

size_t completions_body_n_choices(const struct completions_body *body);

/* The options of a choice, but for the terms. They point into the body. */
struct completions_choice_options {
    struct generate_options options;
    struct generate_segment segments[3]; /* prompt, gap, suffix */
};
void completions_body_options(const struct completions_body *body, size_t choice,
                              struct completions_choice_options *options);

/* Has a sentence of request_create name the fields as the body does: "infill.segments[0]: ..." is about the
 * prompt. */
void completions_body_rename(const struct completions_body *body, struct error *error);

#endif
