#ifndef MILLRACE_COMMON_MODEL_LAYOUT_H
#define MILLRACE_COMMON_MODEL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/config.h"
#include "common/model/network.h"

/*
 * The tensors of a model: what its network (network.h) has, with names and shapes that fit the config, in the
 * order of the state dict of the authors' code. Everything that checks, converts, counts, makes or reports
 * tensors walks this list.
 */
enum { SINUSOID_WIDTH = 256 }; /* columns of a time before the MLP that embeds it */

struct model_tensor {
    char name[64];
    int n_dimensions;
    int64_t shape[2];
    enum tensor_use use;
    enum tensor_sharding sharding;
    enum tensor_role role;
    int block; /* -1: of none */
};

/* How many tensors the model has; the rotary buffer counts. */
int model_layout_count(const struct model_config *config);

/* The tensor number `index`, from 0 to the count exclusive. */
void model_layout_at(const struct model_config *config, int index, struct model_tensor *tensor);

/* Finds the tensor of that role; `block` matters where the role is a block's. False: the model has none. */
bool model_layout_find(const struct model_config *config, enum tensor_role role, int block,
                       struct model_tensor *tensor);

/* Whether a tensor of this name is part of the model. */
bool model_layout_has(const struct model_config *config, const char *name);

/* "[2048, 192]", cut where `room` bytes do not suffice; returns `text`. */
const char *shape_text(const int64_t *shape, int n_dimensions, char *text, size_t room);

/* How many elements the tensor has. */
int64_t model_tensor_elements(const struct model_tensor *tensor);

#endif
