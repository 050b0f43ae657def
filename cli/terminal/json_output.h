#ifndef MILLRACE_CLI_TERMINAL_JSON_OUTPUT_H
#define MILLRACE_CLI_TERMINAL_JSON_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "common/status.h"
#include "proto/millrace.pb-c.h"

/*
 * Messages as JSON, with the names of the .proto. As in protobuf's own mapping, 64-bit numbers (a seed) are
 * strings, because many readers of JSON keep only 53 bits. Bytes that are part of a character are shown as
 * U+FFFD; ids are exact. Every function returns a new reference, or NULL without memory.
 */
json_t *json_of_accepted(const Millrace__V1__Accepted *accepted);
json_t *json_of_frame(const Millrace__V1__Frame *frame);
json_t *json_of_finished(const Millrace__V1__Finished *finished);
json_t *json_of_model(const Millrace__V1__Model *model);
json_t *json_of_status(const Millrace__V1__StatusResponse *status);

/* A text that may hold any bytes, as a JSON string. */
json_t *json_of_bytes(const void *bytes, size_t size_bytes);

/* Adds "pieces", and where it is needed "piece_bytes": {"3": "e6bc"} has in hexadecimal the bytes of each
 * piece that is no text by itself, as where a character is split over tokens. */
void json_add_pieces(json_t *object, const ProtobufCBinaryData *pieces, size_t n);

/* Writes a value on lines of its own and takes it; `indent` 0 gives exactly one line. A NULL value is
 * RESOURCE_EXHAUSTED. */
enum status json_print(json_t *value, int indent, FILE *out, struct error *error);

#endif
