#ifndef MILLRACE_CLI_CLUSTER_ASK_H
#define MILLRACE_CLI_CLUSTER_ASK_H

#include "common/rpc/client.h"
#include "proto/millrace.pb-c.h"

/* Calls to a cluster that hear Ctrl-C at once, even while nobody answers. The command has called
 * interrupt_block; without that the signal ends the program anyway. */

/* Reads the next message of a stream; NULL at its end. CANCELLED: the user has interrupted. */
enum status ask_read(struct rpc_stream *stream, ProtobufCMessage **message, struct error *error);

/* Asks one question and takes one answer; free it with protobuf_c_message_free_unpacked. DEADLINE_EXCEEDED:
 * no answer within `timeout_s` seconds. CANCELLED: the user has interrupted. */
enum status ask(struct rpc_channel *channel, const char *path, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *type, double timeout_s, ProtobufCMessage **answer,
                struct error *error);

/* Asks a cluster about its model; free the answer with millrace__v1__model__free_unpacked. `name`: the model
 * that is meant; NULL: the one that the cluster serves. */
enum status ask_model(struct rpc_channel *channel, const char *name, double timeout_s,
                      Millrace__V1__Model **model, struct error *error);

#endif
