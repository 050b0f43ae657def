#include "kernels/cuda/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/machine/near.h"

enum status place_refuse(int index, int n_devices, struct error *error)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "GPU %d is not there: this process sees %d%s%.64s%s. Start fewer replicas or ranks, or "
                     "let replicas share a GPU (--replicas-per-gpu)",
                     index, n_devices, visible ? " (CUDA_VISIBLE_DEVICES=" : "", visible ? visible : "",
                     visible ? ")" : "");
}

/* Binds, and says to what. */
static void go_near(const char *bus, char *text, size_t size)
{
    const char *wish = getenv("MILLRACE_NUMA");
    const struct near_source here = {0};
    struct nearness nearness;
    near_read(&here, bus, &nearness);
    if (nearness.node < 0 && nearness.n_processors == 0)
        snprintf(text, size, "NUMA node unknown");
    else if (wish != NULL && strcmp(wish, "off") == 0)
        snprintf(text, size, "NUMA node %d, not bound", nearness.node);
    else if (nearness.n_processors == 0)
        snprintf(text, size, "NUMA node %d, whose processors this process may not use", nearness.node);
    else
        snprintf(text, size, "NUMA node %d, %s processors %.64s", nearness.node,
                 near_stay(&nearness) ? "bound to" : "cannot be bound to", nearness.list);
}

void place_settle(struct device *device, int n_devices)
{
    char bus[32] = "", near[160], line[400];
    int driver = 0, runtime = 0;
    size_t n_free = 0, total = 0;
    const double gib = 1024.0 * 1024 * 1024;
    if (!device_check(device, cudaDeviceGetPCIBusId(bus, sizeof bus, device->index),
                      "asking where the GPU is"))
        return;
    go_near(bus, near, sizeof near);
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    (void)cudaMemGetInfo(&n_free, &total);
    snprintf(line, sizeof line,
             "GPU %d of %d at %s: %.1f of %.1f GiB free; %s; driver for CUDA %d.%d, runtime %d.%d",
             device->index, n_devices, bus, (double)n_free / gib, (double)total / gib, near, driver / 1000,
             driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    device_tell(device, line);
}
