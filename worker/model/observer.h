#ifndef MILLRACE_WORKER_MODEL_OBSERVER_H
#define MILLRACE_WORKER_MODEL_OBSERVER_H

#include <stdint.h>

#include "common/dtype.h"
#include "common/model/shard.h"

/*
 * Looks at the values that a forward pass computes on its way, to compare them (`millrace verify`). In
 * service there is no observer, which costs one comparison with NULL for each value.
 */
struct observation {
    const char *name; /* as in the reference's own traces: "embed", "q", "mod1", ... */
    int block;        /* -1: of no block */
    const void *x;    /* device [rows, range_size(columns)], row stride ld; overwritten soon after */
    enum dtype type;  /* of its elements */
    int rows;
    int64_t ld;
    struct range columns; /* which columns of the whole matrix this rank has */
};

struct observer {
    void (*observe)(void *context, const struct observation *observation);
    void *context;
};

static inline void observer_show(const struct observer *observer, struct observation observation)
{
    if (observer)
        observer->observe(observer->context, &observation);
}

#endif
