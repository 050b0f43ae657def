#ifndef MILLRACE_COORDINATOR_REQUEST_REQUEST_ID_H
#define MILLRACE_COORDINATOR_REQUEST_REQUEST_ID_H

#include <stdint.h>

#include "common/status.h"

/*
 * The name of a request for its whole life: what its client is told, what logs show, and what will find it
 * again after a restart of the coordinator. A UUID of version 7 (RFC 9562, section 5.7):
 *
 *   48 bits  milliseconds since 1970, UTC    ─┐ one number that only grows:
 *   12 bits  fractions of that millisecond   ─┘ see below
 *   62 bits  random; 6 bits say that it is such a UUID
 *
 * As text ids sort by the time just before their acceptance. Those of one source differ in the first 60 bits
 * (section 6.2, method 3: when the clock stands still or is set back, the next id takes the last one's time
 * plus one). Those of different coordinators, or of one before and after a restart, differ in the random
 * bits.
 */
enum { REQUEST_ID_SIZE = 37 }; /* with the terminator */

struct request_id {
    char text[REQUEST_ID_SIZE]; /* "019a2b3c-4d5e-7f60-8123-456789abcdef" */
};

/* Zeroed memory is a source that has given nothing out. */
struct request_id_source {
    _Atomic uint64_t last; /* the first 60 bits of the last id */
};

/* A new id. INTERNAL when the system has no random numbers. From any thread. */
enum status request_id_draw(struct request_id_source *source, struct request_id *id, struct error *error);

#endif
