#include "kernels/weight_layout.h"

static const size_t element_bytes[] = {
    [WEIGHT_F32] = 4, [WEIGHT_BF16] = 2, [WEIGHT_E4M3] = 1, [WEIGHT_I8] = 1};

static enum weight_format choose_panels(enum precision precision, enum weight_use use)
{
    if (precision == PRECISION_F32 || use == WEIGHT_CONDITIONING)
        return WEIGHT_F32;
    return precision == PRECISION_INT8 && use == WEIGHT_PRODUCT ? WEIGHT_I8 : WEIGHT_BF16;
}

struct weight_panels weight_panels_of(enum precision precision, enum weight_use use, int n_out, int n_in,
                                      const int32_t *leaf_start, int n_leaves)
{
    static const int steps[] = {[WEIGHT_F32] = 1, [WEIGHT_BF16] = 32, [WEIGHT_I8] = 64};
    struct weight_panels panels = {.format = choose_panels(precision, use)};
    size_t n_outputs = ((size_t)n_out + WEIGHT_PANEL - 1) / WEIGHT_PANEL * WEIGHT_PANEL;
    panels.step = steps[panels.format];
    for (int i = 0; leaf_start != NULL && i < n_leaves; i++)
        panels.n_k += weight_leaf_inputs(&panels, leaf_start[i + 1] - leaf_start[i]);
    if (leaf_start == NULL)
        panels.n_k = weight_leaf_inputs(&panels, n_in);
    panels.data_bytes = n_outputs * (size_t)panels.n_k * element_bytes[panels.format];
    panels.scale_bytes = panels.format == WEIGHT_I8 ? n_outputs * sizeof(float) : 0;
    return panels;
}

static enum weight_format choose_format(enum precision precision, enum weight_use use)
{
    if (precision == PRECISION_F32)
        return WEIGHT_F32;
    return precision == PRECISION_FP8 && use == WEIGHT_PRODUCT ? WEIGHT_E4M3 : WEIGHT_BF16;
}

struct weight_rows weight_rows_of(enum precision precision, enum weight_use use, int n_out, int n_in)
{
    struct weight_rows rows = {.format = choose_format(precision, use)};
    rows.ld = (n_in + (int64_t)WEIGHT_ALIGNMENT - 1) / WEIGHT_ALIGNMENT * WEIGHT_ALIGNMENT;
    rows.data_bytes = (size_t)n_out * (size_t)rows.ld * element_bytes[rows.format];
    rows.scale_bytes = rows.format == WEIGHT_E4M3 && n_in > 0 ? (size_t)n_out * sizeof(float) : 0;
    return rows;
}
