#include "kernels/cpu/panels.h"

#include "kernels/cpu/tile_bf16.h"

enum { STRIPS_TO_UNPACK = 3 };

const float *ISA(panels_unpack)(const struct device *device, const struct weight *weight, int first, int n,
                                int n_strips, int thread)
{
    int64_t panel_size = (int64_t)weight->layout.n_k * LANES;
    const bool reads_pairs = sizeof(bf16_cell) == sizeof(uint16_t); /* the tile unit */
    if (reads_pairs || weight->layout.format != WEIGHT_BF16 || n_strips < STRIPS_TO_UNPACK ||
        (size_t)n * (size_t)panel_size > device->unpacked_floats)
        return NULL;
    float *unpacked = device_unpacked(device, thread);
    for (int panel = 0; panel < n; panel++)
        ISA(unpack_pairs)
    (weight->pairs + (first + panel) * panel_size, weight->layout.n_k, unpacked + panel * panel_size);
    return unpacked;
}
