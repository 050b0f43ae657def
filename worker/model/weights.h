#ifndef MILLRACE_WORKER_MODEL_WEIGHTS_H
#define MILLRACE_WORKER_MODEL_WEIGHTS_H

#include "common/model/config.h"
#include "common/model/tensors.h"
#include "kernels/backend.h"
#include "worker/model/meters.h"
#include "common/model/shard.h"

/* This rank's part of a model, in the backend's memory and layout. D, C and N as in config.h, F = 4D; D_r and
 * F_r are this rank's shares of D and F. */

/* Linear(SINUSOID_WIDTH, C), SiLU, Linear(C, C): the embedding of a time or of a step size. */
struct time_mlp {
    struct weight *first, *second;
    float *first_bias, *second_bias; /* [C] */
};

struct block_weights {
    float *norm1, *norm2;           /* [D] */
    struct weight *query;           /* [D_r, D] */
    struct weight *key_value;       /* [2 D_r, D]: keys, then values */
    struct weight *attention_out;   /* [D, D_r], leaves */
    struct weight *up;              /* [F_r, D] */
    float *up_bias;                 /* [F_r] */
    struct weight *down;            /* [D, F_r], leaves */
    float *down_bias;               /* [D]; added after the all-reduce */
    struct weight *condition_fuser; /* [C, 2C]; NULL in a teacher */
    float *condition_fuser_bias;    /* [C] */
    struct weight *modulation;      /* [6D, C]: shift1, scale1, gate1, shift2, scale2, gate2 */
    float *modulation_bias;         /* [6D] */
};

struct model_weights {
    const struct backend *backend;
    struct device *device;
    struct model_config config;
    struct shard shard;
    size_t size_bytes;               /* of device memory, the rotary table not counted */
    void *embedding;                 /* [columns of this rank, D], of the backend's table type */
    float *rotary;                   /* [max_length, head_size]: cosines, sines */
    struct time_mlp time, step_size; /* step_size, condition: student only */
    float *classes;                  /* [n_classes + 1, C]: SiLU of their rows; NULL: there are none */
    struct weight *condition;        /* time_condition_fuser [2C, 2C] */
    float *condition_bias;           /* [2C] */
    struct block_weights *blocks;    /* [N] */
    float *norm_final;               /* [D] */
    struct weight *out_condition_fuser, *out_modulation,
        *head; /* [C, 2C], [2D, C], [columns of this rank, D] */
    float *out_condition_fuser_bias, *out_modulation_bias, *head_bias;
};

/* Whether rows of the model change by laws (backend.h, enum row_rule); FS-DFM's do by bounds alone. */
bool model_has_laws(const struct model_config *config);

/* How wide the widest row is that an operation on these weights reads. */
int model_widest_row(const struct model_config *config);

/*
 * Brings this rank's slices of `tensors`, which tensors_check_model has checked, to the device, and reads no
 * other part of the files. RESOURCE_EXHAUSTED names the tensor that did not fit; nothing is kept then.
 * `meters`, which may be NULL, counts progress.
 */
enum status model_weights_load(struct model_weights *weights, const struct backend *backend,
                               struct device *device, const struct tensors *tensors,
                               const struct model_config *config, const struct shard *shard,
                               struct meters *meters, struct error *error);
/* Zeroed or released weights are allowed. */
void model_weights_release(struct model_weights *weights);

#endif
