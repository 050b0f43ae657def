#include "kernels/cuda/segment.h"

#include <string.h>

#include "kernels/cuda/device.h"

/* Finds the key's place, or the place to give to it: *known says which. */
static struct segment *find(struct segments *segments, const struct segment_key *key, bool *known)
{
    struct segment *oldest = &segments->kept[0];
    for (int i = 0; i < SEGMENTS_KEPT; i++) {
        struct segment *segment = &segments->kept[i];
        *known = segment->used != 0 && memcmp(&segment->key, key, sizeof *key) == 0;
        if (*known)
            return segment;
        if (segment->used < oldest->used)
            oldest = segment;
    }
    return oldest;
}

static void play(struct device *device, struct segment *segment)
{
    device->segments.n_played++;
    device_check(device, cudaGraphLaunch(segment->graph, device->stream), "playing a recorded segment");
}

/* Gives a place to another key. Its graph may still be running: CUDA frees the graph when it is done ("If the
 * executable graph is in-flight, it will not be terminated, but rather freed asynchronously on completion",
 * CUDA Driver API, cuGraphExecDestroy). Nobody waits here: with ranks, only the collective's own wait sees
 * that another one is gone. */
static void give_away(struct device *device, struct segment *segment, const struct segment_key *key)
{
    if (segment->graph != NULL)
        device_check(device, cudaGraphExecDestroy(segment->graph), "forgetting a segment");
    *segment = (struct segment){.key = *key};
}

bool cuda_segment_begin(struct device *device, const struct segment_key *key)
{
    struct segments *segments = &device->segments;
    if (segments->recording != NULL) {
        failure_keep(&device->failure, STATUS_INTERNAL, "segment %d begins inside segment %d", key->which,
                     segments->recording->key.which);
        return true;
    }
    if (segments->off || device->failure.status != STATUS_OK)
        return true;
    bool known;
    struct segment *segment = find(segments, key, &known);
    if (!known)
        give_away(device, segment, key);
    segment->used = ++segments->clock;
    if (segment->graph != NULL) {
        play(device, segment);
        return false;
    }
    if (known &&
        device_check(device, cudaStreamBeginCapture(device->stream, cudaStreamCaptureModeThreadLocal),
                     "recording a segment"))
        segments->recording = segment;
    return true;
}

void cuda_segment_end(struct device *device)
{
    struct segment *segment = device->segments.recording;
    if (segment == NULL)
        return;
    device->segments.recording = NULL;
    device->segments.n_recorded++;
    cudaGraph_t graph = NULL;
    bool good =
        device_check(device, cudaStreamEndCapture(device->stream, &graph), "recording a segment") &&
        device->failure.status == STATUS_OK &&
        device_check(device, cudaGraphInstantiate(&segment->graph, graph, 0), "making a graph of a segment");
    if (graph != NULL)
        device_check(device, cudaGraphDestroy(graph), "freeing a recording");
    if (good)
        play(device, segment);
}

void segments_release(struct segments *segments)
{
    for (int i = 0; i < SEGMENTS_KEPT; i++)
        if (segments->kept[i].graph != NULL)
            cudaGraphExecDestroy(segments->kept[i].graph);
    memset(segments->kept, 0, sizeof segments->kept);
}
