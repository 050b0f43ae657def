#include "coordinator/request/request_id.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { FRACTIONS = 4096, NANOSECONDS_A_MILLISECOND = 1000000 };

/* Since 1970, in 4096ths of a millisecond. */
static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    uint64_t milliseconds = (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / NANOSECONDS_A_MILLISECOND;
    uint64_t rest = (uint64_t)time.tv_nsec % NANOSECONDS_A_MILLISECOND;
    return milliseconds * FRACTIONS + rest * FRACTIONS / NANOSECONDS_A_MILLISECOND;
}

/* The time, but always more than the last one. */
static uint64_t take_time(struct request_id_source *source)
{
    uint64_t last = atomic_load(&source->last), time, current = now();
    do
        time = current > last ? current : last + 1;
    while (!atomic_compare_exchange_weak(&source->last, &last, time));
    return time;
}

enum status request_id_draw(struct request_id_source *source, struct request_id *id, struct error *error)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(error, STATUS_INTERNAL, "request id: the system has no random numbers: %s",
                         strerror(errno));
    uint64_t time = take_time(source), milliseconds = time / FRACTIONS;
    unsigned with_version = 0x7000 | (unsigned)(time % FRACTIONS);
    unsigned with_variant = 0x8000 | (unsigned)(random >> 48 & 0x3FFF);
    snprintf(id->text, sizeof id->text, "%08" PRIx64 "-%04" PRIx64 "-%04x-%04x-%012" PRIx64,
             milliseconds >> 16 & 0xFFFFFFFF, milliseconds & 0xFFFF, with_version, with_variant,
             random & 0xFFFFFFFFFFFF);
    return STATUS_OK;
}
