#ifndef MILLRACE_KERNELS_WEIGHT_LAYOUT_H
#define MILLRACE_KERNELS_WEIGHT_LAYOUT_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * How each backend lays out a weight w[n_out, n_in], and how much memory that takes. The backends allocate by
 * these functions, and a plan of the memory asks them without a device: also where there is no GPU.
 */

enum weight_format { WEIGHT_F32, WEIGHT_BF16, WEIGHT_E4M3, WEIGHT_I8 };

/*
 * CPU: panels of WEIGHT_PANEL outputs, zeros after the last output. A panel is [n_k][16] for F32. For BF16 it
 * holds pairs along the inputs, [n_k / 2][16][2], and for I8 fours, [n_k / 4][16][4], as AMX reads them.
 * There every leaf is filled up with zeros to a whole number of the tile unit's steps: 32 and 64 inputs.
 */
enum { WEIGHT_PANEL = 16 };
struct weight_panels {
    enum weight_format format;
    int step;           /* inputs of a leaf are filled up to a multiple of this; F32: 1 */
    int n_k;            /* inputs of a panel */
    size_t data_bytes;  /* of all panels */
    size_t scale_bytes; /* I8: a float32 for each output of the panels; else 0 */
};
/* leaf_start and n_leaves as for weight_create (kernels/backend.h). */
struct weight_panels weight_panels_of(enum precision precision, enum weight_use use, int n_out, int n_in,
                                      const int32_t *leaf_start, int n_leaves);
/* The inputs of a leaf of n inputs, filled up. */
static inline int weight_leaf_inputs(const struct weight_panels *panels, int n)
{
    return (n + panels->step - 1) / panels->step * panels->step;
}

/* GPU: rows of ld elements, the last ld - n_in of them zero. ld is a multiple of WEIGHT_ALIGNMENT, so that
 * every row begins on 16 bytes in every format. */
enum { WEIGHT_ALIGNMENT = 16 };
struct weight_rows {
    enum weight_format format;
    int64_t ld;
    size_t data_bytes;
    size_t scale_bytes; /* E4M3: a float32 for each row; else 0 */
};
/* Of a device that was opened for `precision`, which is not AUTO. */
struct weight_rows weight_rows_of(enum precision precision, enum weight_use use, int n_out, int n_in);

#ifdef __cplusplus
}
#endif

#endif
