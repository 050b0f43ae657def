#include <math.h>

#include "kernels/cpu/device.h"
#include "kernels/cpu/elementary.h"
#include "kernels/cpu/functions.h"
#include "kernels/cpu/head_tile.h"
#include "kernels/cpu/panels.h"
#include "kernels/cpu/precise.h"
#include "kernels/cpu/strips.h"

/*
 * The scan of the vocabulary: a part is one tile of columns x one run of strips. The tile's panels stay in
 * the second-level cache; logits exist only for TILE_ROWS x VOCABULARY_TILE elements. A second pass combines
 * each group from its tiles, in order.
 */
struct scan {
    const struct device *device;
    const struct head_scan *op;
    struct strips strips;
    int first_row, n_row_runs, n_threads;
};

static void scan_strip(const struct scan *scan, int tile, int strip, struct head_rows packed)
{
    const struct head_scan *op = scan->op;
    _Alignas(64) float raw[STRIP_ROWS * VOCABULARY_TILE];
    int rows = strip_rows(&scan->strips, strip),
        first_row = scan->first_row + strip_begin(&scan->strips, strip);
    if (op->weight->layout.format == WEIGHT_F32)
        packed.a = strip_data(&scan->strips, strip);
    else
        packed.cells = strip_cells(&scan->strips, strip);
    packed.a_step = TILE_ROWS;
    packed.rows = rows;
    ISA(head_multiply)(op->weight, tile, &packed, raw);
    for (int r = 0; r < rows; r++) {
        float *logits = raw + r * VOCABULARY_TILE;
        int row = first_row + r;
        ISA(head_logits)(op, tile, row, logits, logits, &op->left_out_logit[row]);
        op->tiles[(int64_t)row * head_tiles(op) + tile] = ISA(head_exp)(logits, logits);
    }
}

/*
 * Where few rows share a tile, waiting for its panels would cost more than multiplying them. So each of the
 * first TILE_PANELS strips prefetches a share of the panels of the tile that this thread probably takes next.
 */
static const char *next_panels(const struct scan *scan, int tile, int strip)
{
    const struct weight *weight = scan->op->weight;
    int next = tile + scan->n_threads;
    if (strip >= TILE_PANELS || scan->n_row_runs > 1 || next >= head_tiles(scan->op))
        return NULL;
    int panels = VOCABULARY_TILE / LANES, share = panels / TILE_PANELS;
    return (const char *)weight->panels + ((int64_t)next * panels + strip * share) * panel_bytes(weight);
}

static void scan_part(void *context, int part, int thread)
{
    const struct scan *scan = context;
    int tile = part / scan->n_row_runs, run = part % scan->n_row_runs, n_strips = scan->strips.n_strips;
    int first = (int)((int64_t)run * n_strips / scan->n_row_runs);
    int end = (int)((int64_t)(run + 1) * n_strips / scan->n_row_runs);
    int first_panel, n_panels = ISA(head_panels)(scan->op->weight, tile, &first_panel);
    struct head_rows packed = {.unpacked = ISA(panels_unpack)(scan->device, scan->op->weight, first_panel,
                                                              n_panels, end - first, thread)};
    for (int strip = first; strip < end; strip++) {
        packed.next = next_panels(scan, tile, strip - first);
        scan_strip(scan, tile, strip, packed);
    }
}

/* {max, Σ sum_i exp(max_i - max)} of n parts, in their order. What is not a number makes the sum not a
 * number. */
static struct exp_sum combine(const struct exp_sum *parts, int n)
{
    float max = -INFINITY;
    double sum = 0;
    for (int i = 0; i < n; i++)
        if (!(parts[i].max <= max))
            max = parts[i].max;
    for (int i = 0; i < n; i++)
        if (parts[i].max != -INFINITY)
            sum += parts[i].sum * precise_exp((double)parts[i].max - max);
    return (struct exp_sum){max, (float)sum};
}

static void combine_part(void *context, int part, int thread)
{
    (void)thread;
    const struct head_scan *op = context;
    int end = least(op->rows, (part + 1) * ROWS_PER_PART);
    for (int row = part * ROWS_PER_PART; row < end; row++) {
        const struct exp_sum *tiles = op->tiles + (int64_t)row * head_tiles(op);
        for (int group = 0; group < op->n_groups; group++) {
            int first = op->group_column[group] / VOCABULARY_TILE;
            int n = divide_up(op->group_column[group + 1], VOCABULARY_TILE) - first;
            op->groups[(int64_t)group * op->rows + row] = combine(tiles + first, n);
        }
    }
}

void ISA(head_scan)(struct device *device, const struct head_scan *op)
{
    struct head_scan copy = *op;
    int n_in = op->weight->n_in, n_tiles = head_tiles(op), block_rows = ISA(strips_rows)(device, op->weight);
    bool narrow = op->weight->layout.format != WEIGHT_F32;
    int64_t row_bytes = n_in * (int64_t)(narrow ? sizeof(uint16_t) : sizeof(float));
    if (!device_accepts(device, "head_scan", op->rows, n_in))
        return;
    for (int row = 0; row < op->rows; row++)
        op->left_out_logit[row] = -INFINITY;
    for (int row = 0; row < op->rows && n_tiles > 0; row += block_rows) {
        struct scan scan = {.device = device, .op = op, .first_row = row, .n_threads = device->n_threads};
        scan.strips = ISA(strips_pack)(device, op->weight, (const char *)op->x + row * row_bytes, n_in,
                                       least(block_rows, op->rows - row));
        scan.n_row_runs = least(divide_up(4 * device->n_threads, n_tiles), scan.strips.n_strips);
        int n_parts = n_tiles * scan.n_row_runs;
        if (narrow)
            device_run_flushing(device, scan_part, &scan, n_parts);
        else
            pool_run(device->pool, scan_part, &scan, n_parts);
    }
    pool_run(device->pool, combine_part, &copy, divide_up(op->rows, ROWS_PER_PART));
}
