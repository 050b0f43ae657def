#ifndef MILLRACE_CLI_CLUSTER_GET_MODEL_H
#define MILLRACE_CLI_CLUSTER_GET_MODEL_H

#include "common/rpc/client.h"
#include "proto/millrace.pb-c.h"

/* What a cluster says of its model; free with millrace__v1__model__free_unpacked. `name`: which is meant;
 * NULL: the one that is served. DEADLINE_EXCEEDED after `timeout_s` seconds without an answer. */
enum status get_model(struct rpc_channel *channel, const char *name, double timeout_s,
                      Millrace__V1__Model **model, struct error *error);

#endif
