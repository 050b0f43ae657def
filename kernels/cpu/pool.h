#ifndef MILLRACE_KERNELS_CPU_POOL_H
#define MILLRACE_KERNELS_CPU_POOL_H

#include "common/status.h"

/*
 * Threads that share one loop. The caller and n_threads - 1 workers take the parts 0 to n_parts - 1 in order;
 * a thread that is free takes the next part. No result depends on which thread computed a part; `thread` only
 * names the scratch. Between loops the workers spin for some microseconds, then sleep, so that an idle
 * replica uses no CPU.
 */
struct pool;

/* n_threads >= 1. RESOURCE_EXHAUSTED when threads cannot be started. */
enum status pool_create(int n_threads, struct pool **pool, struct error *error);
void pool_free(struct pool *pool); /* NULL is allowed */

/* Before the first loop: `part_done` is called, on the thread that did it, after each part. NULL: nobody
 * watches. */
void pool_watch(struct pool *pool, void (*part_done)(void *context), void *context);

/* Calls function(context, part, thread) once for every part, 0 <= thread < n_threads; returns when all are
 * done. */
void pool_run(struct pool *pool, void (*function)(void *context, int part, int thread), void *context,
              int n_parts);

#endif
