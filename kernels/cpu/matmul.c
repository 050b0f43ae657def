#include "kernels/cpu/device.h"
#include "kernels/cpu/elementary.h"
#include "kernels/cpu/functions.h"
#include "kernels/cpu/strips.h"
#include "kernels/cpu/tile.h"

/*
 * y[rows, n_out] = activation(x[rows, n_in] · w^T + bias)
 *
 * Rows go ROW_BLOCK at a time, packed in strips (strips.h). Columns are cut into blocks whose panels fill
 * about half of the second-level cache. One part of the work is one column block with one run of strips. In a
 * part every strip passes over every panel, so that a panel comes from memory once for each part. The other
 * half of the cache takes the panels of the thread's next part, which are prefetched meanwhile. The sum of a
 * tile runs over the whole of n_in before it leaves the first-level cache. It goes leaf by leaf, and adds the
 * leaves in the order of a binary counter, which is the balanced tree. Bias and activation follow at once,
 * and y is written once.
 */
enum { LEAF_DEPTH = 7, TILE_FLOATS = TILE_ROWS * TILE_PANELS * LANES }; /* 64 leaves */

struct product {
    const struct matmul *op;
    struct strips strips;
    int first_row; /* of the block of rows */
    int panels_per_block, n_column_blocks, n_row_runs, n_threads;
};

static void add_tile(float *to, const float *from, int rows)
{
    for (int i = 0; i < rows * TILE_PANELS * LANES; i += LANES)
        vf_store(to + i, vf_add(vf_load(to + i), vf_load(from + i)));
}

/* stack[0] = the tile's sum over all leaves; stack[i + 1] waits to be added to stack[i]. */
static void sum_leaves(const struct weight *weight, struct tile tile, int rows, int panels,
                       float stack[LEAF_DEPTH][TILE_FLOATS])
{
    const float *a = tile.a, *b = tile.b, *next = tile.next;
    int depth = 0;
    for (int leaf = 0; leaf < weight->n_leaves; leaf++) {
        int32_t start = weight->leaf_start[leaf];
        tile.a = a + start * tile.a_step;
        tile.b = b + (int64_t)start * LANES;
        tile.next = next + (int64_t)start * LANES;
        tile.n_k = weight->leaf_start[leaf + 1] - start;
        tile.accumulate = leaf % 2 == 1; /* the first addition of the tree costs no store of its own */
        tile.out = tile.accumulate ? stack[depth - 1] : stack[depth++];
        ISA(tile_multiply)(&tile, rows, panels);
        for (int pairs = leaf / 2 + 1; tile.accumulate && pairs % 2 == 0; pairs /= 2, depth--)
            add_tile(stack[depth - 2], stack[depth - 1], rows);
    }
}

static inline struct vf activate(struct vf v, enum activation activation)
{
    if (activation == ACTIVATION_GELU_TANH)
        return vf_gelu_tanh(v);
    return activation == ACTIVATION_SILU ? vf_silu(v) : v;
}

/* y = activation(sum + bias) for one tile; y points at its first row and column, n columns are left in y. */
static inline __attribute__((always_inline)) void finish_tile(const float *sum, int rows, const float *bias,
                                                              int n, enum activation activation, float *y,
                                                              int64_t ld_y)
{
    for (int start = 0; start < n && start < TILE_PANELS * LANES; start += LANES) {
        int width = least(LANES, n - start);
        struct vf b = bias != NULL ? vf_load_first(bias + start, width) : vf_all(0);
        for (int r = 0; r < rows; r++) {
            struct vf v = vf_load(sum + r * TILE_PANELS * LANES + start);
            if (bias != NULL)
                v = vf_add(v, b);
            vf_store_first(y + r * ld_y + start, width, activate(v, activation));
        }
    }
}

static void finish(const struct matmul *op, const float *sum, int rows, int row, int column)
{
    float *y = (float *)op->y + row * op->ld_y + column;
    const float *bias = op->bias != NULL ? op->bias + column : NULL;
    int n = op->weight->n_out - column;
    if (op->activation == ACTIVATION_NONE)
        finish_tile(sum, rows, bias, n, ACTIVATION_NONE, y, op->ld_y);
    else if (op->activation == ACTIVATION_SILU)
        finish_tile(sum, rows, bias, n, ACTIVATION_SILU, y, op->ld_y);
    else
        finish_tile(sum, rows, bias, n, ACTIVATION_GELU_TANH, y, op->ld_y);
}

/* `next`: panels to prefetch, as many as go through one call for each tile; NULL: none. */
static void multiply_strip(const struct product *product, int strip, int first_panel, int end_panel,
                           const float *next)
{
    const struct weight *weight = product->op->weight;
    int rows = strip_rows(&product->strips, strip),
        row = product->first_row + strip_begin(&product->strips, strip);
    int64_t panel_floats = (int64_t)weight->n_in * LANES;
    _Alignas(64) float stack[LEAF_DEPTH][TILE_FLOATS];
    for (int panel = first_panel; panel < end_panel; panel += TILE_PANELS) {
        struct tile tile = {.a = strip_data(&product->strips, strip),
                            .b = weight->panels + panel * panel_floats,
                            .next = next != NULL ? next + (panel - first_panel) / TILE_PANELS * panel_floats
                                                 : weight->panels + panel * panel_floats,
                            .a_step = TILE_ROWS,
                            .b_panel = panel_floats,
                            .out_row = TILE_PANELS * LANES,
                            .out_panel = LANES};
        sum_leaves(weight, tile, rows, least(TILE_PANELS, end_panel - panel), stack);
        finish(product->op, stack[0], rows, row, panel * LANES);
    }
}

/* What strip `strip` of a part prefetches: its share of the panels of the part that this thread probably
 * takes next. The first TILE_PANELS strips together prefetch all of them. */
static const float *next_panels(const struct product *product, int part, int strip)
{
    const struct weight *weight = product->op->weight;
    int block = part / product->n_row_runs, next = (part + product->n_threads) / product->n_row_runs;
    if (strip >= TILE_PANELS || next == block || next >= product->n_column_blocks)
        return NULL;
    int share = product->panels_per_block / TILE_PANELS;
    return weight->panels +
           ((int64_t)next * product->panels_per_block + strip * share) * weight->n_in * LANES;
}

static void multiply_part(void *context, int part, int thread)
{
    (void)thread;
    const struct product *product = context;
    int block = part / product->n_row_runs, run = part % product->n_row_runs,
        n_strips = product->strips.n_strips;
    int first_panel = block * product->panels_per_block;
    int end_panel = least(first_panel + product->panels_per_block, product->op->weight->n_panels);
    int first_strip = (int)((int64_t)run * n_strips / product->n_row_runs);
    int end_strip = (int)((int64_t)(run + 1) * n_strips / product->n_row_runs);
    for (int strip = first_strip; strip < end_strip; strip++)
        multiply_strip(product, strip, first_panel, end_panel,
                       next_panels(product, part, strip - first_strip));
}

/* Column blocks that fit the cache, nearly equal, as many for each thread; several runs of rows each where
 * the blocks are too few to share out evenly. */
static void cut_product(const struct device *device, struct product *product)
{
    const struct weight *weight = product->op->weight;
    size_t panel_bytes = ((size_t)weight->n_in + 1) * LANES * sizeof(float);
    int pairs = divide_up(weight->n_panels, TILE_PANELS);
    int pairs_that_fit = (int)(device->cache_bytes / 2 / (panel_bytes * TILE_PANELS));
    int blocks = divide_up(pairs, pairs_that_fit > 0 ? pairs_that_fit : 1);
    if (pairs >= 2 * device->n_threads)
        blocks = divide_up(blocks, device->n_threads) * device->n_threads;
    product->panels_per_block = divide_up(pairs, blocks) * TILE_PANELS;
    product->n_column_blocks = divide_up(weight->n_panels, product->panels_per_block);
    int wanted = device->n_threads > 1 ? divide_up(4 * device->n_threads, product->n_column_blocks) : 1;
    product->n_row_runs = least(wanted, product->strips.n_strips);
}

void ISA(matmul)(struct device *device, const struct matmul *op)
{
    if (!device_accepts(device, "matmul", op->rows, op->weight->n_in) || op->weight->n_panels == 0)
        return;
    for (int row = 0; row < op->rows; row += ROW_BLOCK) {
        struct product product = {.op = op, .first_row = row, .n_threads = device->n_threads};
        product.strips = ISA(strips_pack)(device, (const float *)op->x + row * op->ld_x, op->ld_x,
                                          least(ROW_BLOCK, op->rows - row), op->weight->n_in);
        cut_product(device, &product);
        pool_run(device->pool, multiply_part, &product, product.n_column_blocks * product.n_row_runs);
    }
}
