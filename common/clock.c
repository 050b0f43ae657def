#include "common/clock.h"

#include <math.h>

#define MOST_SECONDS 1e9 /* keeps the sum within a time_t of any size */

struct timespec clock_after(double seconds)
{
    struct timespec moment;
    double bounded = fmin(fmax(seconds, 0), MOST_SECONDS), whole = floor(bounded);
    clock_gettime(CLOCK_MONOTONIC, &moment);
    long nanoseconds = moment.tv_nsec + (long)((bounded - whole) * 1e9);
    moment.tv_sec += (time_t)whole + nanoseconds / 1000000000;
    moment.tv_nsec = nanoseconds % 1000000000;
    return moment;
}

void clock_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool clock_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *moment)
{
    return pthread_cond_timedwait(condition, mutex, moment) == 0;
}
