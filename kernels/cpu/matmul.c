#include "kernels/cpu/bf16.h"
#include "kernels/cpu/device.h"
#include "kernels/cpu/elementary.h"
#include "kernels/cpu/functions.h"
#include "kernels/cpu/panels.h"
#include "kernels/cpu/strips.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/tile_bf16.h"
#include "kernels/cpu/tile_i8.h"

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
 *
 * A weight in bfloat16 goes the same way. A part that has many strips first unpacks its panels into the
 * scratch of its thread; what it prefetches would be of no use then. A part of few strips waits for memory,
 * and reads the pairs as they are. A weight in int8 is widened in the innermost loop; the exact sums of a
 * leaf are scaled at once, and the leaves are added like all others.
 */
enum { LEAF_DEPTH = 7, TILE_FLOATS = STRIP_ROWS * TILE_PANELS * LANES }; /* 64 leaves */

struct product {
    const struct device *device;
    const struct matmul *op;
    struct strips strips;
    int first_row; /* of the block of rows */
    int panels_per_block, n_column_blocks, n_row_runs, n_threads;
};

/* The panels of a part's column block, or of its next one: as the weight has them, or unpacked. */
struct panels {
    const struct weight *weight;
    int first;             /* the number of the panel at which `unpacked` begins */
    const float *unpacked; /* NULL: as the weight has them */
};

static void add_tile(float *to, const float *from, int rows)
{
    for (int i = 0; i < rows * TILE_PANELS * LANES; i += LANES)
        vf_store(to + i, vf_add(vf_load(to + i), vf_load(from + i)));
}

/* One tile of results: some rows of x and some panels. */
struct place {
    const float *a;
    const bf16_cell *cells; /* bfloat16: instead of a */
    const int16_t *words;   /* int8: instead of a, with the rows' scales */
    const float *scale;
    int rows, panel, panels;
    const void *next; /* panels to prefetch, or NULL */
};

/* out (+)= the sum over one leaf */
static void sum_leaf(const struct panels *panels, const struct place *place, int leaf, bool accumulate,
                     float *out)
{
    const struct weight *weight = panels->weight;
    int32_t start = weight->leaf_start[leaf];
    int64_t panel_floats = (int64_t)weight->n_in * LANES;
    const float *b = weight->panels + place->panel * panel_floats;
    const float *next = place->next != NULL ? place->next : b;
    const struct tile tile = {.a = place->a + start * TILE_ROWS,
                              .b = b + (int64_t)start * LANES,
                              .next = next + (int64_t)start * LANES,
                              .a_step = TILE_ROWS,
                              .b_panel = panel_floats,
                              .out = out,
                              .out_row = TILE_PANELS * LANES,
                              .out_panel = LANES,
                              .n_k = weight->leaf_start[leaf + 1] - start,
                              .accumulate = accumulate};
    ISA(tile_multiply)(&tile, place->rows, place->panels);
}

static void sum_leaf_bf16(const struct panels *panels, const struct place *place, int leaf, bool accumulate,
                          float *out)
{
    const struct weight *weight = panels->weight;
    int32_t start = weight->panel_start[leaf];
    int64_t panel_size = (int64_t)weight->layout.n_k * LANES, first = (int64_t)start * LANES;
    struct tile_bf16 tile = {.a = place->cells + start,
                             .a_row = weight->layout.n_k,
                             .b_panel = panel_size,
                             .out = out,
                             .out_row = TILE_PANELS * LANES,
                             .out_panel = LANES,
                             .n_k = weight->panel_start[leaf + 1] - start,
                             .accumulate = accumulate};
    if (panels->unpacked != NULL) {
        tile.lines = panels->unpacked + (place->panel - panels->first) * panel_size + first;
    } else {
        tile.pairs = weight->pairs + place->panel * panel_size + first;
        tile.next = place->next != NULL ? (const uint16_t *)place->next + first : tile.pairs;
    }
    ISA(tile_bf16)(&tile, place->rows, place->panels);
}

static void sum_leaf_i8(const struct panels *panels, const struct place *place, int leaf, bool accumulate,
                        float *out)
{
    const struct weight *weight = panels->weight;
    int32_t start = weight->panel_start[leaf];
    int64_t panel_size = (int64_t)weight->layout.n_k * LANES;
    _Alignas(64) int32_t sums[I8_ROWS * TILE_PANELS * LANES];
    const struct tile_i8 tile = {.a = place->words + start,
                                 .b = weight->fours + place->panel * panel_size + (int64_t)start * LANES,
                                 .out = sums,
                                 .a_row = weight->layout.n_k,
                                 .b_panel = panel_size,
                                 .n_k = weight->panel_start[leaf + 1] - start};
    ISA(tile_i8)(&tile, place->rows, place->panels);
    const float *column_scale = weight->scale + place->panel * LANES;
    for (int r = 0; r < place->rows; r++) {
        float row_scale = place->scale[r * LEAVES_MOST + leaf];
        for (int j = 0; j < place->panels * LANES; j++) {
            int at = r * TILE_PANELS * LANES + j;
            float sum = (float)sums[at] * (row_scale * column_scale[j]);
            out[at] = accumulate ? out[at] + sum : sum;
        }
    }
}

/* stack[0] = the tile's sum over all leaves; stack[i + 1] waits to be added to stack[i]. */
static void sum_leaves(const struct panels *panels, const struct place *place,
                       float stack[LEAF_DEPTH][TILE_FLOATS])
{
    const struct weight *weight = panels->weight;
    int depth = 0;
    for (int leaf = 0; leaf < weight->n_leaves; leaf++) {
        bool accumulate = leaf % 2 == 1; /* the first addition of the tree costs no store of its own */
        float *out = accumulate ? stack[depth - 1] : stack[depth++];
        if (weight->layout.format == WEIGHT_F32)
            sum_leaf(panels, place, leaf, accumulate, out);
        else if (weight->layout.format == WEIGHT_BF16)
            sum_leaf_bf16(panels, place, leaf, accumulate, out);
        else
            sum_leaf_i8(panels, place, leaf, accumulate, out);
        for (int pairs = leaf / 2 + 1; accumulate && pairs % 2 == 0; pairs /= 2, depth--)
            add_tile(stack[depth - 2], stack[depth - 1], place->rows);
    }
}

static inline struct vf activate(struct vf v, enum activation activation)
{
    if (activation == ACTIVATION_GELU_TANH)
        return vf_gelu_tanh(v);
    return activation == ACTIVATION_SILU ? vf_silu(v) : v;
}

/* Where a tile's results go: its first row and column of y, with n columns left. */
struct tile_end {
    const float *sum, *bias;
    void *y;
    int64_t ld_y;
    int rows, n;
};

/* y = activation(sum + bias) */
static inline __attribute__((always_inline)) void
finish_tile(const struct tile_end *end, const enum activation activation, const bool narrow)
{
    for (int start = 0; start < end->n && start < TILE_PANELS * LANES; start += LANES) {
        int width = least(LANES, end->n - start);
        struct vf b = end->bias != NULL ? vf_load_first(end->bias + start, width) : vf_all(0);
        for (int r = 0; r < end->rows; r++) {
            struct vf v = vf_load(end->sum + r * TILE_PANELS * LANES + start);
            if (end->bias != NULL)
                v = vf_add(v, b);
            v = activate(v, activation);
            if (!narrow)
                vf_store_first((float *)end->y + r * end->ld_y + start, width, v);
            else if (width == LANES)
                vf_store_bf16((uint16_t *)end->y + r * end->ld_y + start, v);
            else
                vf_store_bf16_first((uint16_t *)end->y + r * end->ld_y + start, width, v);
        }
    }
}

static inline __attribute__((always_inline)) void finish_as(const struct tile_end *end,
                                                            enum activation activation, const bool narrow)
{
    if (activation == ACTIVATION_NONE)
        finish_tile(end, ACTIVATION_NONE, narrow);
    else if (activation == ACTIVATION_SILU)
        finish_tile(end, ACTIVATION_SILU, narrow);
    else
        finish_tile(end, ACTIVATION_GELU_TANH, narrow);
}

static void finish(const struct matmul *op, const float *sum, int rows, int row, int column)
{
    int64_t at = (row * op->ld_y + column) * (int64_t)dtype_bytes(op->y_type);
    const struct tile_end end = {.sum = sum,
                                 .bias = op->bias != NULL ? op->bias + column : NULL,
                                 .y = (char *)op->y + at,
                                 .ld_y = op->ld_y,
                                 .rows = rows,
                                 .n = op->weight->n_out - column};
    if (op->y_type == DTYPE_F32)
        finish_as(&end, op->activation, false);
    else
        finish_as(&end, op->activation, true);
}

/* `next`: panels to prefetch, as many as go through one call for each tile; NULL: none. */
static void multiply_strip(const struct product *product, const struct panels *panels, int strip,
                           int end_panel, const char *next)
{
    int row = product->first_row + strip_begin(&product->strips, strip);
    struct place place = {.rows = strip_rows(&product->strips, strip)};
    enum weight_format format = panels->weight->layout.format;
    if (format == WEIGHT_F32) {
        place.a = strip_data(&product->strips, strip);
    } else if (format == WEIGHT_BF16) {
        place.cells = strip_cells(&product->strips, strip);
    } else {
        place.words = strip_words(&product->strips, strip);
        place.scale = product->strips.scale + strip_begin(&product->strips, strip) * LEAVES_MOST;
    }
    _Alignas(64) float stack[LEAF_DEPTH][TILE_FLOATS];
    for (place.panel = panels->first; place.panel < end_panel; place.panel += TILE_PANELS) {
        place.panels = least(TILE_PANELS, end_panel - place.panel);
        place.next = next;
        if (next != NULL)
            next += panel_bytes(panels->weight);
        sum_leaves(panels, &place, stack);
        finish(product->op, stack[0], place.rows, row, place.panel * LANES);
    }
}

/* What strip `strip` of a part prefetches: its share of the panels of the part that this thread probably
 * takes next. The first TILE_PANELS strips together prefetch all of them. */
static const char *next_panels(const struct product *product, int part, int strip)
{
    const struct weight *weight = product->op->weight;
    int block = part / product->n_row_runs, next = (part + product->n_threads) / product->n_row_runs;
    if (strip >= TILE_PANELS || next == block || next >= product->n_column_blocks)
        return NULL;
    int share = product->panels_per_block / TILE_PANELS;
    return (const char *)weight->panels +
           ((int64_t)next * product->panels_per_block + strip * share) * panel_bytes(weight);
}

static void multiply_part(void *context, int part, int thread)
{
    const struct product *product = context;
    int block = part / product->n_row_runs, run = part % product->n_row_runs,
        n_strips = product->strips.n_strips;
    int first_panel = block * product->panels_per_block;
    int end_panel = least(first_panel + product->panels_per_block, product->op->weight->n_panels);
    int first_strip = (int)((int64_t)run * n_strips / product->n_row_runs);
    int end_strip = (int)((int64_t)(run + 1) * n_strips / product->n_row_runs);
    const struct panels panels = {product->op->weight, first_panel,
                                  ISA(panels_unpack)(product->device, product->op->weight, first_panel,
                                                     end_panel - first_panel, end_strip - first_strip,
                                                     thread)};
    for (int strip = first_strip; strip < end_strip; strip++)
        multiply_strip(product, &panels, strip, end_panel, next_panels(product, part, strip - first_strip));
}

/* Column blocks that fit the cache, nearly equal, as many for each thread; several runs of rows each where
 * the blocks are too few to share out evenly. */
static void cut_product(const struct device *device, struct product *product)
{
    const struct weight *weight = product->op->weight;
    size_t panel_bytes = ((size_t)weight->layout.n_k + 1) * LANES * sizeof(float);
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
    bool narrow = op->weight->layout.format != WEIGHT_F32;
    int block_rows = ISA(strips_rows)(device, op->weight);
    int64_t row_bytes = op->ld_x * (int64_t)(narrow ? sizeof(uint16_t) : sizeof(float));
    for (int row = 0; row < op->rows; row += block_rows) {
        struct product product = {
            .device = device, .op = op, .first_row = row, .n_threads = device->n_threads};
        product.strips = ISA(strips_pack)(device, op->weight, (const char *)op->x + row * row_bytes, op->ld_x,
                                          least(block_rows, op->rows - row));
        cut_product(device, &product);
        int n_parts = product.n_column_blocks * product.n_row_runs;
        if (narrow)
            device_run_flushing(device, multiply_part, &product, n_parts);
        else
            pool_run(device->pool, multiply_part, &product, n_parts);
    }
}
