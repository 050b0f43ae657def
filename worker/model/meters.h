#ifndef MILLRACE_WORKER_MODEL_METERS_H
#define MILLRACE_WORKER_MODEL_METERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a rank has done since it started. The thread that owns the model counts, and any thread may read. Each
 * number is right by itself; two numbers that are read one after the other may be a step apart.
 */
enum meter {
    /* Finished pieces of work: a tensor loaded, an operation, on a CPU also each part of an operation
     * (device_options.progressed), an idle round in which all ranks answered. Moves for as long as nothing
     * hangs, so a piece should take well under a second. */
    METER_PROGRESS,
    METER_STEPS,  /* taken by sequences */
    METER_PASSES, /* through the model; a step in which nothing can change needs none */
    METER_ROWS,   /* of these passes */
    METER_NEEDED_ROWS,
    METER_CHANGED, /* tokens */
    /* Time spent in steps, by phase; all of it OTHER on a device whose operations are only enqueued. */
    METER_MATMUL_NS,
    METER_ATTENTION_NS,
    METER_HEAD_NS,
    METER_COMMUNICATION_NS,
    METER_OTHER_NS,
    N_METERS
};

struct meters {
    atomic_uint_least64_t count[N_METERS];
};

/* Any thread. NULL counts nothing. */
static inline void meter_add(struct meters *meters, enum meter meter, uint64_t n)
{
    if (meters)
        atomic_fetch_add_explicit(&meters->count[meter], n, memory_order_relaxed);
}

static inline uint64_t meter_read(const struct meters *meters, enum meter meter)
{
    return atomic_load_explicit(&meters->count[meter], memory_order_relaxed);
}

/* A meter of nanoseconds. */
static inline double meter_seconds(const struct meters *meters, enum meter meter)
{
    return 1e-9 * (double)meter_read(meters, meter);
}

#endif
