#ifndef MILLRACE_COMMON_MODEL_LAYOUT_H
#define MILLRACE_COMMON_MODEL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/config.h"

/*
 * The one list of the tensors of a DFM (teacher) or FS-DFM (student) network (arXiv 2509.20624): names,
 * shapes, and what each is for, in the order of the state dict of the authors' code. Everything that checks,
 * converts, counts, makes or reports tensors walks this list.
 */
enum tensor_use {
    TENSOR_EMBEDDING, /* [V', D] */
    TENSOR_LINEAR,    /* [out, in] */
    TENSOR_BIAS,      /* [out] */
    TENSOR_NORM,      /* [D] */
    TENSOR_ADALN,     /* [6D or 2D, C]: a linear layer that produces modulations */
    TENSOR_ROTARY,    /* [Dh/2]: a buffer, not a parameter; may be absent */
};

enum { SINUSOID_WIDTH = 256 }; /* columns of a time before the MLP that embeds it */

/* How tensor-parallel ranks share it. */
enum tensor_sharding {
    SHARDED_NOT,        /* every rank has all of it */
    SHARDED_OUTPUT,     /* rows: a rank's heads or MLP columns */
    SHARDED_INPUT,      /* columns, followed by an all-reduce */
    SHARDED_VOCABULARY, /* rows: a rank's part of the vocabulary */
};

struct model_tensor {
    char name[64];
    int n_dimensions;
    int64_t shape[2];
    enum tensor_use use;
    enum tensor_sharding sharding;
    bool student_only;
};

/* How many tensors the model has; the rotary buffer counts. */
int model_layout_count(const struct model_config *config);

/* The tensor number `index`, from 0 to the count exclusive. */
void model_layout_at(const struct model_config *config, int index, struct model_tensor *tensor);

/* Whether a tensor of this name is part of the model. */
bool model_layout_has(const struct model_config *config, const char *name);

/* "[2048, 192]", cut where `room` bytes do not suffice; returns `text`. */
const char *shape_text(const int64_t *shape, int n_dimensions, char *text, size_t room);

/* How many elements the tensor has. */
int64_t model_tensor_elements(const struct model_tensor *tensor);

#endif
