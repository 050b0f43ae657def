#ifndef MILLRACE_COMMON_CLOCK_H
#define MILLRACE_COMMON_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* The clock that only goes forward, and condition variables that wait by it. So a wait takes as long as it
 * says when somebody sets the time of day. */

/* Seconds since some moment in the past. */
static inline double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The moment `seconds` from now. Less than 0 counts as 0. INFINITY counts as three decades, as does anything
 * above.
 */
struct timespec clock_after(double seconds);

/* A condition variable for clock_wait_until. Pair with pthread_cond_destroy. */
void clock_condition_init(pthread_cond_t *condition);

/* Waits for the condition as pthread_cond_wait does. False: the moment has come. Like every such wait it may
 * return true for no reason, so the caller looks again at what it waits for. */
bool clock_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *moment);

#endif
