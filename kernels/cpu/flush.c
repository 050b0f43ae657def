#include "kernels/cpu/flush.h"

#include "kernels/cpu/device.h"

struct flushed {
    void (*function)(void *context, int part, int thread);
    void *context;
};

static void run_flushed(void *context, int part, int thread)
{
    const struct flushed *flushed = context;
    const unsigned long before = flush_begin();
    flushed->function(flushed->context, part, thread);
    flush_end(before);
}

void device_run_flushing(const struct device *device, void (*function)(void *context, int part, int thread),
                         void *context, int n_parts)
{
    struct flushed flushed = {function, context};
    pool_run(device->pool, run_flushed, &flushed, n_parts);
}
