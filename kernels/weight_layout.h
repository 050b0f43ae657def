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

/* CPU: float32 in panels of WEIGHT_PANEL outputs, zeros after the last output. */
enum { WEIGHT_PANEL = 16 };
size_t weight_panels_bytes(int n_out, int n_in);

/* GPU: rows of ld elements, the last ld - n_in of them zero. ld is a multiple of WEIGHT_ALIGNMENT, so that
 * every row begins on 16 bytes in every format. */
enum { WEIGHT_ALIGNMENT = 16 };
enum weight_format { WEIGHT_F32, WEIGHT_BF16, WEIGHT_E4M3 };
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
