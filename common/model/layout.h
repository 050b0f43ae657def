#ifndef MILLRACE_COMMON_MODEL_LAYOUT_H
#define MILLRACE_COMMON_MODEL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/config.h"

/*
 * The one list of the tensors of a DFM (teacher) or FS-DFM (student) network: names, shapes, and what each is
 * for, in the order of the reference's state dict. Checking, converting, counting, making
 * random weights and reporting all walk this list.
 */
enum tensor_use {
    TENSOR_EMBEDDING, /* [V', D] */
    TENSOR_LINEAR,    /* [out, in] */
    TENSOR_BIAS,      /* [out] */
    TENSOR_NORM,      /* [D] */
    TENSOR_ADALN,     /* [6D or 2D, C]: a linear layer that produces modulations */
    TENSOR_ROTARY,    /* [Dh/2]: a buffer, not a parameter; may be absent */
};

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

/* Number of tensors of this model, the rotary buffer counted. */
int model_layout_count(const struct model_config *config);

/* The tensor at `index` in [0, count). */
void model_layout_at(const struct model_config *config, int index, struct model_tensor *tensor);

/* "[2048, 192]", cut where `room` bytes do not suffice; returns `text`. */
const char *shape_text(const int64_t *shape, int n_dimensions, char *text, size_t room);

/* Elements of it. */
int64_t model_tensor_elements(const struct model_tensor *tensor);

#endif
