#ifndef MILLRACE_COORDINATOR_SERVICES_CLIENT_EVENTS_H
#define MILLRACE_COORDINATOR_SERVICES_CLIENT_EVENTS_H

#include "common/rpc/server.h"
#include "coordinator/request/request_sink.h"
#include "coordinator/request/served_model.h"

/* Turns what a sink hears into the messages of a Generate stream and sends them. The functions do not return
 * what rpc_send says: a client that is gone or too slow is seen when its call closes. */

void client_send_accepted(struct rpc_call *call, const struct served_model *model,
                          const struct request_accepted *accepted);
void client_send_frame(struct rpc_call *call, const struct served_model *model,
                       const struct request_frame *frame);

/* Sends Finished, or the reason why there is none, and ends the call. */
void client_send_end(struct rpc_call *call, const struct served_model *model,
                     const struct request_ended *ended);

#endif
