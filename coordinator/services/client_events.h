#ifndef MILLRACE_COORDINATOR_SERVICES_CLIENT_EVENTS_H
#define MILLRACE_COORDINATOR_SERVICES_CLIENT_EVENTS_H

#include "common/rpc/server.h"
#include "coordinator/request/request.h"

/* The three events of a Generate stream, made of a run and sent. What rpc_send says is not returned: a
 * client that is gone or too slow is seen when its call closes. */

void event_send_accepted(struct rpc_call *call, const struct served_model *model, const struct run *run);

/* `positions` and `ids` [n]: what changed. */
void event_send_frame(struct rpc_call *call, const struct served_model *model, const struct run *run,
                      const uint32_t *positions, const uint32_t *ids, size_t n);
/* The frame of step 0, with every position. */
void event_send_first_frame(struct rpc_call *call, const struct served_model *model, const struct run *run);

/* Sends Finished and ends the call; an error when the text cannot be made. */
void event_send_finished(struct rpc_call *call, const struct served_model *model, const struct run *run,
                         const struct ending *ending);

#endif
