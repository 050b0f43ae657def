#ifndef MILLRACE_COORDINATOR_REQUEST_REQUEST_SINK_H
#define MILLRACE_COORDINATOR_REQUEST_REQUEST_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "common/solver.h"
#include "common/status.h"
#include "coordinator/request/generate_options.h"

/*
 * What a client hears of its request: plain structs, which each edge turns into its own messages. All
 * pointers are valid until the callback returns. Seconds are counted from the acceptance.
 */

/* The request as it was accepted, with every default filled in. */
struct request_accepted {
    const char *id;          /* request_id.h */
    int length, n_pinned;    /* positions; those that will not change */
    int steps;               /* of the run */
    const uint8_t *editable; /* [length] */
    uint64_t seed;
    float temperature;
    enum solver solver;
    enum request_class class;
    double estimated_seconds; /* until it is finished; 0: not known */
};

/* What one step changed. The frame of step 0 has every position. */
struct request_frame {
    uint32_t step, steps;
    size_t n;
    const uint32_t *positions, *ids; /* [n], ascending; the id now at positions[i] */
    const float
        *log_probabilities; /* [n]: of the ids when they were drawn, natural; NULL: nothing was drawn */
    double seconds;
};

/* The request was started on a replica, or left one; for the logs. */
enum request_move { MOVE_STARTED, MOVE_WENT_ON, MOVE_PREEMPTED, MOVE_DRAINED, MOVE_LOST };
struct request_moved {
    enum request_move move;
    const char *replica; /* that it was started on, or has left */
    uint32_t step, steps;
};

/* How the request ended. */
struct request_ended {
    enum status status;  /* OK: finished; CANCELLED; else it failed */
    const char *text;    /* the reason; of a finished one "" */
    const char *replica; /* of a finished one: where the last step was taken, and on how many ranks */
    uint32_t n_ranks;

    int length, n_pinned;
    uint32_t step, steps; /* of the run that ended it */
    uint64_t seed;
    const int32_t *ids;           /* [length]; of a finished one the answer, else the last frame */
    const uint32_t *changed_step; /* [length]; 0: the starting state */
    double mean_log_probability;  /* natural; of the tokens that the last step drew; 0: none */
    uint64_t forwards;            /* passes of the model; 0: the replica does not say */

    double queue_seconds,
        first_frame_seconds; /* until the first step began, and had ended; NAN: it has not */
    double compute_seconds;  /* sum of its steps */
    double seconds;
};

/*
 * For one request the callbacks come one at a time and in this order: accepted; the frame of step 0; frames
 * in ascending steps, with moves between them; ended, exactly once. After that `context` is not used any
 * more. They may come from different threads, but the caller holds no lock, and a callback may call the
 * scheduler. It should not block: the other requests for which the same thread has events wait for it
 * (scheduler/delivery.h).
 */
struct request_sink {
    void (*accepted)(void *context, const struct request_accepted *accepted);
    void (*frame)(void *context, const struct request_frame *frame);
    void (*moved)(void *context, const struct request_moved *moved); /* NULL: nobody listens */
    void (*ended)(void *context, const struct request_ended *ended);
};

#endif
