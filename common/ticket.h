#ifndef MILLRACE_COMMON_TICKET_H
#define MILLRACE_COMMON_TICKET_H

#include <stdint.h>

/* The number by which a replica knows a run (`sequence` in proto/replica.proto). Its lower bits are the run's
 * number, which the coordinator counts from 1 when it starts. Its upper bits count the tickets that the run
 * had before. */
enum { TICKET_NUMBER_BITS = 48 };

static inline uint64_t ticket_number(uint64_t ticket)
{
    return ticket & ((UINT64_C(1) << TICKET_NUMBER_BITS) - 1);
}

static inline uint64_t ticket_next(uint64_t ticket)
{
    return ticket + (UINT64_C(1) << TICKET_NUMBER_BITS);
}

#endif
