#ifndef MILLRACE_COORDINATOR_SERVICES_GENERATE_WIRE_H
#define MILLRACE_COORDINATOR_SERVICES_GENERATE_WIRE_H

#include "common/status.h"
#include "coordinator/request/generate_options.h"
#include "proto/millrace.pb-c.h"

/* The options of a GenerateRequest, the first edge that there is. They point into the message. */
struct generate_wire {
    struct generate_options options; /* without terms but the class: those come from the call */
    struct generate_segment *segments;
};

/* INVALID_ARGUMENT names a field that has no counterpart; what the values must be is request_create's to say.
 * RESOURCE_EXHAUSTED without memory. Release it on STATUS_OK. */
enum status generate_wire_read(const Millrace__V1__GenerateRequest *message, struct generate_wire *wire,
                               struct error *error);
void generate_wire_release(struct generate_wire *wire);

#endif
