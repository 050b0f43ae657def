#ifndef MILLRACE_COMMON_DTYPE_H
#define MILLRACE_COMMON_DTYPE_H

#include <stddef.h>
#include <stdint.h>

/* Number formats of tensors in files. */
enum dtype { DTYPE_F32, DTYPE_BF16, DTYPE_F16, DTYPE_F64, DTYPE_I64, DTYPE_I32, DTYPE_U8, DTYPE_BOOL };

/* Bytes of one element. */
size_t dtype_bytes(enum dtype dtype);
/* safetensors' name: "F32". */
const char *dtype_name(enum dtype dtype);

/* to[i] = (float)from[i] for DTYPE_F32, DTYPE_BF16 and DTYPE_F16; `from` need not be aligned. */
void dtype_to_float(enum dtype dtype, const void *from, size_t n, float *to);

/* to[i] = the bfloat16 that is nearest to from[i], ties to even; NaN becomes 0x7FFF. Formats as above. */
void dtype_to_bf16(enum dtype dtype, const void *from, size_t n, uint16_t *to);

/* A matrix in a mapped file: [rows, columns] of DTYPE_F32, DTYPE_BF16 or DTYPE_F16, not owned. */
struct matrix_view {
    const void *data;
    enum dtype dtype;
    int64_t rows, columns;
    int64_t row_stride;   /* elements: the width of the matrix in the file */
    int64_t first_column; /* of that matrix */
};

#endif
