#ifndef MILLRACE_KERNELS_CUDA_LIBRARY_TRIAL_H
#define MILLRACE_KERNELS_CUDA_LIBRARY_TRIAL_H

#include "kernels/cuda/library_lt.h"

/*
 * Trying an algorithm of the library on this GPU, with made-up rows and the weight itself. One trial serves
 * all algorithms of a weight's shape.
 */
struct trial {
    struct device *device;
    const struct weight *weight;
    int rows;
    void *x, *q, *y, *own; /* on the device: x [rows, ld] bf16, the same as e4m3, y twice [rows, n_out] */
    float *scale, *bias;
    char *here, *there; /* on the host: room for x or for y */
    char why[96];       /* why the last algorithm was refused */
};

/* Which of a weight's products is tried. */
struct trial_kind {
    enum dtype y_type;
    enum epilogue epilogue;
};

/* Keeps a failure when there is no memory. Release it in any case. */
void trial_init(struct trial *trial, struct device *device, const struct weight *weight);
void trial_release(struct trial *trial);

/*
 * Runs all rows with the variant's algorithm, and keeps the results in trial->here. true when
 *   - a row has the same bits among many rows, among a few and alone (batch invariance);
 *   - the results are our own product's, within the rounding of the sums. A GELU may be off by 1e-3: an
 *     approximate tanh is, and bf16 hardly shows it.
 */
bool trial_passes(struct trial *trial, const struct lt_variant *variant, struct trial_kind kind);

/* True when rows among `least` to `most` rows have the bits that trial->here has of them. */
bool trial_agrees(struct trial *trial, const struct lt_variant *variant, struct trial_kind kind, int least,
                  int most);

#endif
