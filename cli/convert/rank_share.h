#ifndef MILLRACE_CLI_CONVERT_RANK_SHARE_H
#define MILLRACE_CLI_CONVERT_RANK_SHARE_H

#include <stdint.h>

#include "common/model/config.h"
#include "common/model/layout.h"

/* Rows or columns of the tensor that rank `rank` of `n_ranks` holds of its split dimension; all of them for a
 * tensor that is not split. Whole heads, runs of the MLP's units, eighths of the vocabulary's tiles of 128:
 * the same borders as a worker's. */
int64_t rank_share_extent(const struct model_config *config, const struct model_tensor *tensor, int rank,
                          int n_ranks);

/* The same in bytes of a tensor that has `size_bytes` in all. */
uint64_t rank_share_bytes(const struct model_config *config, const struct model_tensor *tensor,
                          uint64_t size_bytes, int rank, int n_ranks);

#endif
