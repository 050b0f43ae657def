#ifndef MILLRACE_COORDINATOR_REQUEST_REQUEST_SINK_H
#define MILLRACE_COORDINATOR_REQUEST_REQUEST_SINK_H

#include "coordinator/request/run.h"

/* How a request ends. */
struct ending {
    enum status status;
    const char *text;    /* the reason; of a finished one NULL */
    const char *replica; /* of a finished one: who ran the last step, and on how many ranks */
    uint32_t n_ranks;
};

/* The client's side of a request. Called under the scheduler's lock: must not block nor call the scheduler.
 */
struct client_sink {
    void (*accepted)(void *client, const struct run *run);
    /* Positions that changed, ascending, and their new ids: the frame after run->step steps. */
    void (*frame)(void *client, const struct run *run, const uint32_t *positions, const uint32_t *ids,
                  size_t n);
    /* Last, exactly once; `client` is not used afterwards. STATUS_OK: finished. */
    void (*ended)(void *client, const struct run *run, const struct ending *ending);
};

#endif
