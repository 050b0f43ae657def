#ifndef MILLRACE_CLI_GENERATE_OUTPUT_H
#define MILLRACE_CLI_GENERATE_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/terminal/view.h"
#include "common/status.h"
#include "proto/millrace.pb-c.h"

/* How `millrace generate` shows the events of one request. */
enum output_kind {
    OUTPUT_TEXT,   /* the text, when it is finished */
    OUTPUT_VIEW,   /* the text being refined, on a terminal */
    OUTPUT_JSON,   /* one object, when it is finished */
    OUTPUT_FRAMES, /* one object a line for every event */
};

struct output {
    enum output_kind kind;
    FILE *out;                        /* the terminal, with a view */
    int64_t pace_ms;                  /* the least time that a frame stays; below 0: the usual */
    double drawn_at;                  /* seconds: when the frame on the screen was drawn; 0: none is */
    FILE *remarks;                    /* one line about the finished text, or NULL */
    double started;                   /* seconds of the monotonic clock: when the request was accepted */
    Millrace__V1__Accepted *accepted; /* owned */
    struct canvas canvas;
    struct view view;
    bool is_finished;
};

/* `remarks` may be NULL; it and `out` must outlive the output. */
void output_init(struct output *output, enum output_kind kind, bool with_colour, int64_t pace_ms, FILE *out,
                 FILE *remarks);

/* Takes the event. DATA_LOSS: it cannot be right. The request was not accepted before, or there is no such
 * position.
 */
enum status output_event(struct output *output, Millrace__V1__GenerateEvent *event, struct error *error);

/* Puts the terminal right when the stream has ended too soon, and frees everything. */
void output_release(struct output *output);

#endif
