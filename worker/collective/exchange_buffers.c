#include "worker/collective/exchange_buffers.h"

bool exchange_buffers_for_mpi(struct exchange_buffers *buffers, const struct backend *backend,
                              struct device *device, int n_ranks, int64_t max_elements)
{
    *buffers = (struct exchange_buffers){.backend = backend, .device = device};
    if (n_ranks == 1)
        return true;
    size_t staged_bytes = (size_t)max_elements * sizeof(float);
    size_t slack_bytes = (size_t)n_ranks * sizeof(float); /* slices differ by one element */
    buffers->scratch = backend->host_allocate(device, staged_bytes + slack_bytes);
    if (backend->on_host)
        return buffers->scratch != NULL;
    buffers->staged = backend->host_allocate(device, staged_bytes);
    buffers->staged_part = backend->host_allocate(device, staged_bytes);
    return buffers->scratch && buffers->staged && buffers->staged_part;
}

bool exchange_buffers_for_nccl(struct exchange_buffers *buffers, const struct backend *backend,
                               struct device *device, int n_ranks, int64_t max_elements)
{
    *buffers = (struct exchange_buffers){.backend = backend, .device = device, .on_device = true};
    if (n_ranks <= 2)
        return true; /* two ranks sum in place */
    size_t floats = (size_t)(max_elements + 2 * EXCHANGE_SLICE_ALIGNMENT * (int64_t)n_ranks);
    buffers->scratch = backend->allocate(device, floats * sizeof(float));
    return buffers->scratch != NULL;
}

void exchange_buffers_release(struct exchange_buffers *buffers)
{
    if (!buffers->backend)
        return;
    if (buffers->on_device)
        buffers->backend->release(buffers->device, buffers->scratch);
    else
        buffers->backend->host_release(buffers->device, buffers->scratch);
    buffers->backend->host_release(buffers->device, buffers->staged);
    buffers->backend->host_release(buffers->device, buffers->staged_part);
    *buffers = (struct exchange_buffers){0};
}
