#include "common/memory_return.h"

#include <malloc.h>

#include "common/clock.h"

#define PAUSE_SECONDS 5.0
enum { ARENAS_MAX = 4 };

void memory_return_prepare(void)
{
    mallopt(M_ARENA_MAX, ARENAS_MAX);
}

void memory_return(void)
{
    static double looked_at;
    double now = clock_seconds();
    if (looked_at > 0 && now - looked_at < PAUSE_SECONDS)
        return;
    looked_at = now;
    if (mallinfo2().fordblks > MEMORY_RETURN_BYTES)
        malloc_trim(0);
}
