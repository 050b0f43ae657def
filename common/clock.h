#ifndef MILLRACE_COMMON_CLOCK_H
#define MILLRACE_COMMON_CLOCK_H

#include <pthread.h>
#include <time.h>

/* Seconds of a clock that only goes forward. */
static inline double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The moment in so many seconds, for waiting on a condition that clock_condition_init made. */
static inline struct timespec clock_after(double seconds)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    time_t whole = (time_t)seconds;
    long nanoseconds = at.tv_nsec + (long)((seconds - (double)whole) * 1e9);
    at.tv_sec += whole + nanoseconds / 1000000000;
    at.tv_nsec = nanoseconds % 1000000000;
    return at;
}

static inline void clock_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

#endif
