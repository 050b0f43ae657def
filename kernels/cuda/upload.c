#include "kernels/cuda/upload.h"

#include <string.h>

#include "kernels/cuda/device.h"

void uploads_open(struct device *device)
{
    struct uploads *uploads = &device->uploads;
    device_check(device,
                 cudaHostAlloc((void **)&uploads->pinned, (size_t)UPLOAD_HALVES * UPLOAD_HALF_BYTES,
                               cudaHostAllocDefault),
                 "reserving pinned memory for uploads");
    for (int half = 0; half < UPLOAD_HALVES; half++)
        device_check(device, cudaEventCreateWithFlags(&uploads->read[half], cudaEventDisableTiming),
                     "making an event");
}

void uploads_close(struct device *device)
{
    struct uploads *uploads = &device->uploads;
    for (int half = 0; half < UPLOAD_HALVES; half++)
        if (uploads->read[half] != NULL)
            (void)cudaEventDestroy(uploads->read[half]);
    if (uploads->pinned != NULL)
        (void)cudaFreeHost(uploads->pinned);
}

/* Changes to the other half, after the GPU has read what was in it. */
static bool turn_over(struct device *device)
{
    struct uploads *uploads = &device->uploads;
    if (!device_check(device, cudaEventRecord(uploads->read[uploads->half], device->stream),
                      "marking an upload"))
        return false;
    uploads->half = (uploads->half + 1) % UPLOAD_HALVES;
    uploads->used = 0;
    return device_check(device, cudaEventSynchronize(uploads->read[uploads->half]), "waiting for an upload");
}

static bool send(struct device *device, void *to, const void *from, size_t size_bytes)
{
    return device_check(device, cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyHostToDevice, device->stream),
                        "copying");
}

/* Sends as many bytes as fit into the current half. Returns how many that were; 0: a failure. */
static size_t send_some(struct device *device, char *to, const char *from, size_t size_bytes)
{
    enum { ALIGNMENT = 256 };
    struct uploads *uploads = &device->uploads;
    if (uploads->used == UPLOAD_HALF_BYTES && !turn_over(device))
        return 0;
    size_t left = UPLOAD_HALF_BYTES - uploads->used, now = size_bytes < left ? size_bytes : left;
    char *staged = uploads->pinned + (size_t)uploads->half * UPLOAD_HALF_BYTES + uploads->used;
    memcpy(staged, from, now);
    uploads->used += (now + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return send(device, to, staged, now) ? now : 0;
}

void cuda_upload(struct device *device, void *to, const void *from, size_t size_bytes)
{
    struct cudaPointerAttributes attributes = {0};
    if (device->failure.status != STATUS_OK || size_bytes == 0 ||
        !device_check(device, cudaPointerGetAttributes(&attributes, from), "asking whose memory it is"))
        return;
    if (attributes.type == cudaMemoryTypeHost)
        send(device, to, from, size_bytes);
    else
        for (size_t done = 0, now = 1; done < size_bytes && now > 0; done += now)
            now = send_some(device, (char *)to + done, (const char *)from + done, size_bytes - done);
}
