#ifndef MILLRACE_COORDINATOR_SERVICES_CALL_TERMS_H
#define MILLRACE_COORDINATOR_SERVICES_CALL_TERMS_H

#include "coordinator/services/services.h"

/* What every gRPC call that asks for a text brings along, whatever its messages are. */

/* The call's place in its caller's trace; the caller is told our hop. On the server's thread, in on_call. */
struct trace call_take_trace(struct rpc_call *call);

/* All of the terms but the class, which the message says. */
void call_set_terms(const struct rpc_call *call, const struct trace *trace, struct request_terms *terms);

/* Logs that a request of this call was not accepted. Any thread. */
void call_log_refusal(struct coordinator *coordinator, const struct rpc_call *call, const struct trace *trace,
                      const struct error *error);

#endif
