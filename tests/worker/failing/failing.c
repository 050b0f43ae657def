/*
 * A worker that fails on command: the program of worker/, with these functions put in front of the real ones
 * by the linker (--wrap). It computes on the CPU as ever, and so writes the same bytes, until an order comes
 * (order.h). WHERE is one of
 *
 *   backend  there is no such backend
 *   open     the device cannot be opened
 *   memory   the machine has next to no memory
 *   weight   the device has no memory for a weight
 *   engine   the engine cannot be made
 *   load     opening the device takes for ever (until the process is ended)
 *   pass     the pass NUMBER of this process fails; the warm-up is pass 1
 *   token    a pass with the token NUMBER six times in a row fails
 */
#include <stdio.h>
#include <unistd.h>

#include "kernels/backend.h"
#include "tests/worker/failing/order.h"
#include "worker/engine/engine.h"

enum { RUN_LENGTH = 6 };

static const struct backend *real;
static long n_passes;
static char failure[96]; /* of the device, kept as a device keeps it; empty: none */

static void fail(const char *what, long number)
{
    if (!failure[0])
        snprintf(failure, sizeof failure, "the test's device failed: %s %ld", what, number);
    order_obeyed();
}

static enum status open_device(struct device **device, const struct device_options *options,
                               struct error *error)
{
    long number;
    while (order_is("load", &number))
        pause();
    if (order_is("open", &number)) {
        order_obeyed();
        return error_set(error, STATUS_UNAVAILABLE, "the test's device does not open");
    }
    return real->open(device, options, error);
}

static struct device_memory little_memory(const struct device *device)
{
    long number;
    if (!order_is("memory", &number))
        return real->memory(device);
    order_obeyed();
    return (struct device_memory){.total_bytes = 4096, .free_bytes = 4096};
}

static enum status create_weight(struct device *device, enum weight_use use, const struct matrix_view *parts,
                                 int n_parts, const int32_t *leaf_start, int n_leaves, struct weight **weight,
                                 struct error *error)
{
    long number;
    if (order_is("weight", &number)) {
        order_obeyed();
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "the test's device has no memory for a weight");
    }
    return real->weight_create(device, use, parts, n_parts, leaf_start, n_leaves, weight, error);
}

static void embed(struct device *device, const void *table, int32_t first, int32_t n, int width,
                  const int32_t *ids, int rows, float *x)
{
    long number;
    bool ordered = order_is("token", &number);
    for (int i = 0, length = 0; ordered && i < rows; i++) {
        length = ids[i] == number ? length + 1 : 0;
        if (length == RUN_LENGTH)
            fail("token", number);
    }
    real->embed(device, table, first, n, width, ids, rows, x);
}

/* The end of a pass, before it is waited for. */
static void mark(struct device *device, int slot)
{
    long number;
    n_passes++;
    if (order_is("pass", &number) && n_passes == number)
        fail("pass", number);
    real->mark(device, slot);
}

static enum status synchronize(struct device *device, struct error *error)
{
    return failure[0] ? error_set(error, STATUS_INTERNAL, "%s", failure) : real->synchronize(device, error);
}

static enum status wait_for_mark(struct device *device, int slot, struct error *error)
{
    return failure[0] ? error_set(error, STATUS_INTERNAL, "%s", failure) : real->wait(device, slot, error);
}

enum status __real_backend_find(const char *name, const struct backend **backend, struct error *error);
enum status __wrap_backend_find(const char *name, const struct backend **backend, struct error *error);

enum status __wrap_backend_find(const char *name, const struct backend **backend, struct error *error)
{
    static struct backend failing;
    long number;
    (void)name;
    if (order_is("backend", &number))
        return error_set(error, STATUS_UNAVAILABLE, "the test's backend does not run here");
    enum status status = __real_backend_find("cpu", &real, error);
    if (status != STATUS_OK)
        return status;
    failing = *real;
    failing.open = open_device;
    failing.memory = little_memory;
    failing.weight_create = create_weight;
    failing.embed = embed;
    failing.mark = mark;
    failing.synchronize = synchronize;
    failing.wait = wait_for_mark;
    *backend = &failing;
    return STATUS_OK;
}

enum status __real_engine_create(struct model *model, struct plan_limits limits, bool run_ahead,
                                 struct engine **engine, struct error *error);
enum status __wrap_engine_create(struct model *model, struct plan_limits limits, bool run_ahead,
                                 struct engine **engine, struct error *error);

enum status __wrap_engine_create(struct model *model, struct plan_limits limits, bool run_ahead,
                                 struct engine **engine, struct error *error)
{
    long number;
    if (!order_is("engine", &number))
        return __real_engine_create(model, limits, run_ahead, engine, error);
    order_obeyed();
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "the test has no memory for an engine");
}
