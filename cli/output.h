#ifndef MILLRACE_CLI_OUTPUT_H
#define MILLRACE_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/infill.h"
#include "cli/view.h"
#include "common/status.h"
#include "proto/millrace.pb-c.h"

/* What `millrace generate` shows of the events of one request. */
enum output_kind {
    OUTPUT_TEXT,   /* the text, when it is finished */
    OUTPUT_VIEW,   /* the text being refined, on a terminal */
    OUTPUT_JSON,   /* one object, when it is finished */
    OUTPUT_FRAMES, /* one object a line for every event */
};

struct output {
    enum output_kind kind;
    FILE *out;                        /* the terminal, with a view */
    const struct infill *infill;      /* what was asked for, if it has gaps; else NULL. Not owned */
    FILE *remarks;                    /* one line about the finished text, or NULL */
    double started;                   /* seconds of the monotonic clock: when the request was accepted */
    Millrace__V1__Accepted *accepted; /* owned */
    struct canvas canvas;
    struct view view;
    bool is_finished;
};

/* `infill`, `remarks`: see above; both may be NULL and must outlive the output. */
void output_init(struct output *output, enum output_kind kind, bool with_colour, const struct infill *infill,
                 FILE *out, FILE *remarks);

/* Takes the event. DATA_LOSS when it cannot be right: not accepted first, or a position that is not there. */
enum status output_event(struct output *output, Millrace__V1__GenerateEvent *event, struct error *error);

/* Puts the terminal right when the stream has ended too soon, and frees everything. */
void output_release(struct output *output);

#endif
