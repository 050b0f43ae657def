#ifndef MILLRACE_COORDINATOR_SERVICES_GENERATE_WIRE_H
#define MILLRACE_COORDINATOR_SERVICES_GENERATE_WIRE_H

#include "common/status.h"
#include "coordinator/request/generate_options.h"
#include "proto/millrace.pb-c.h"

/* A GenerateRequest as options. They point into the message, which must live as long. */
struct generate_wire {
    struct generate_options options; /* of the terms only the class: all others come from the call */
    struct generate_segment *segments;
};

/* Translates a message. INVALID_ARGUMENT names a field whose value no option can hold; all other checks are
 * request_create's. RESOURCE_EXHAUSTED: no memory. After STATUS_OK the caller releases the result. */
enum status generate_wire_read(const Millrace__V1__GenerateRequest *message, struct generate_wire *wire,
                               struct error *error);
void generate_wire_release(struct generate_wire *wire);

#endif
