#include "kernels/cpu/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * One loop is one round. The caller writes the loop's fields, then raises `round`. A worker that sees the
 * round rise reads the fields, takes parts from `next_part`, and counts `n_busy` down. The caller returns
 * when n_busy is 0, so the fields are never written while a worker may read them.
 *
 * Sleeping: both sides look at their condition for SPIN_NS, then wait under `mutex`. The side that changes a
 * condition looks at the count of sleepers after the change. The side that goes to sleep raises the count
 * before its last look. Both are sequentially consistent, so one of the two always sees the other.
 */
enum { SPIN_NS = 30000 };

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index;
};

struct pool {
    int n_threads, n_started;
    struct worker *workers; /* [n_threads - 1] */

    void (*function)(void *context, int part, int thread);
    void *context;
    int n_parts;
    bool closing;

    void (*part_done)(void *context);
    void *part_context;

    _Alignas(64) atomic_uint round;
    _Alignas(64) atomic_int next_part;
    _Alignas(64) atomic_int n_busy;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    atomic_int n_sleeping;
};

static bool round_is_new(struct pool *pool, unsigned seen)
{
    return atomic_load(&pool->round) != seen;
}

static bool round_is_done(struct pool *pool, unsigned unused)
{
    (void)unused;
    return atomic_load(&pool->n_busy) == 0;
}

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void wait_until(struct pool *pool, bool (*condition)(struct pool *, unsigned), unsigned argument)
{
    for (int64_t end = now_ns() + SPIN_NS; now_ns() < end;)
        if (condition(pool, argument))
            return;
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->n_sleeping, 1);
    while (!condition(pool, argument))
        pthread_cond_wait(&pool->changed, &pool->mutex);
    atomic_fetch_sub(&pool->n_sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void wake_sleepers(struct pool *pool)
{
    if (atomic_load(&pool->n_sleeping) == 0)
        return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

static void count_part(const struct pool *pool)
{
    if (pool->part_done != NULL)
        pool->part_done(pool->part_context);
}

static void take_parts(struct pool *pool, int thread)
{
    int part;
    while ((part = atomic_fetch_add(&pool->next_part, 1)) < pool->n_parts) {
        pool->function(pool->context, part, thread);
        count_part(pool);
    }
}

static void begin_round(struct pool *pool)
{
    atomic_store(&pool->next_part, 0);
    atomic_store(&pool->n_busy, pool->n_started);
    atomic_fetch_add(&pool->round, 1);
    wake_sleepers(pool);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    for (unsigned seen = 0;; seen++) {
        wait_until(pool, round_is_new, seen);
        if (pool->closing)
            return NULL;
        take_parts(pool, worker->index);
        if (atomic_fetch_sub(&pool->n_busy, 1) == 1)
            wake_sleepers(pool);
    }
}

static enum status start_workers(struct pool *pool, struct error *error)
{
    for (int i = 0; i < pool->n_threads - 1; i++) {
        struct worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->index = i + 1;
        int code = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (code != 0)
            return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                             "starting thread %d of %d failed: %s; ask for fewer threads", i + 2,
                             pool->n_threads, strerror(code));
        pool->n_started++;
    }
    return STATUS_OK;
}

enum status pool_create(int n_threads, struct pool **pool, struct error *error)
{
    struct pool *made = aligned_alloc(_Alignof(struct pool), sizeof *made);
    if (made == NULL)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a pool of %d threads", n_threads);
    memset(made, 0, sizeof *made);
    made->n_threads = n_threads;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->changed, NULL);
    made->workers = calloc((size_t)n_threads, sizeof *made->workers);
    enum status status = made->workers == NULL ? error_set(error, STATUS_RESOURCE_EXHAUSTED,
                                                           "no memory for a pool of %d threads", n_threads)
                                               : start_workers(made, error);
    if (status != STATUS_OK) {
        pool_free(made);
        return status;
    }
    *pool = made;
    return STATUS_OK;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    pool->closing = true;
    begin_round(pool);
    for (int i = 0; i < pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->workers);
    free(pool);
}

void pool_watch(struct pool *pool, void (*part_done)(void *context), void *context)
{
    pool->part_done = part_done;
    pool->part_context = context;
}

void pool_run(struct pool *pool, void (*function)(void *context, int part, int thread), void *context,
              int n_parts)
{
    if (pool->n_started == 0 || n_parts <= 1) {
        for (int part = 0; part < n_parts; part++) {
            function(context, part, 0);
            count_part(pool);
        }
        return;
    }
    pool->function = function;
    pool->context = context;
    pool->n_parts = n_parts;
    begin_round(pool);
    take_parts(pool, 0);
    wait_until(pool, round_is_done, 0);
}
