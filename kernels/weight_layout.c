#include "kernels/weight_layout.h"

size_t weight_panels_bytes(int n_out, int n_in)
{
    size_t n_panels = ((size_t)n_out + WEIGHT_PANEL - 1) / WEIGHT_PANEL;
    return n_panels * (size_t)n_in * WEIGHT_PANEL * sizeof(float);
}

static enum weight_format choose_format(enum precision precision, enum weight_use use)
{
    if (precision == PRECISION_F32)
        return WEIGHT_F32;
    return precision == PRECISION_FP8 && use == WEIGHT_PRODUCT ? WEIGHT_E4M3 : WEIGHT_BF16;
}

struct weight_rows weight_rows_of(enum precision precision, enum weight_use use, int n_out, int n_in)
{
    static const size_t element_bytes[] = {[WEIGHT_F32] = 4, [WEIGHT_BF16] = 2, [WEIGHT_E4M3] = 1};
    struct weight_rows rows = {.format = choose_format(precision, use)};
    rows.ld = (n_in + (int64_t)WEIGHT_ALIGNMENT - 1) / WEIGHT_ALIGNMENT * WEIGHT_ALIGNMENT;
    rows.data_bytes = (size_t)n_out * (size_t)rows.ld * element_bytes[rows.format];
    rows.scale_bytes = rows.format == WEIGHT_E4M3 && n_in > 0 ? (size_t)n_out * sizeof(float) : 0;
    return rows;
}
