#ifndef MILLRACE_CLI_CLUSTER_ASK_H
#define MILLRACE_CLI_CLUSTER_ASK_H

#include "common/rpc/client.h"
#include "proto/millrace.pb-c.h"

/* Calls of a cluster that hear Ctrl-C at once, also where nobody answers (interrupt_block was called before;
 * else the signal ends the program anyway). */

/* The next message of a stream, NULL at its end. CANCELLED when the user interrupts. */
enum status ask_read(struct rpc_stream *stream, ProtobufCMessage **message, struct error *error);

/* One question, one answer, which is freed with protobuf_c_message_free_unpacked. DEADLINE_EXCEEDED after
 * `timeout_s` seconds without one; CANCELLED when the user interrupts. */
enum status ask(struct rpc_channel *channel, const char *path, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *type, double timeout_s, ProtobufCMessage **answer,
                struct error *error);

/* What a cluster says of its model; free with millrace__v1__model__free_unpacked. `name`: which is meant;
 * NULL: the one that is served. */
enum status ask_model(struct rpc_channel *channel, const char *name, double timeout_s,
                      Millrace__V1__Model **model, struct error *error);

#endif
