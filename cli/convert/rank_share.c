#include "cli/convert/rank_share.h"

enum { VOCABULARY_TILE = 128, VOCABULARY_GROUPS = 8 }; /* of a worker's sampler */

/* Where part `part` of n_parts of n things begins. */
static int64_t border(int64_t n, int part, int n_parts)
{
    return n * part / n_parts;
}

static int64_t vocabulary_border(int64_t n_ids, int rank, int n_ranks)
{
    const int64_t n_tiles = (n_ids + VOCABULARY_TILE - 1) / VOCABULARY_TILE;
    const int64_t group = border(VOCABULARY_GROUPS, rank, n_ranks);
    const int64_t column = n_tiles * group / VOCABULARY_GROUPS * VOCABULARY_TILE;
    return column < n_ids ? column : n_ids;
}

int64_t rank_share_extent(const struct model_config *config, const struct model_tensor *tensor, int rank,
                          int n_ranks)
{
    const int64_t extent = tensor->shape[tensor->sharding == SHARDED_INPUT];
    if (tensor->sharding == SHARDED_NOT)
        return extent;
    if (tensor->sharding == SHARDED_VOCABULARY)
        return vocabulary_border(extent, rank + 1, n_ranks) - vocabulary_border(extent, rank, n_ranks);
    const int64_t unit = extent == config->hidden ? config->head_size : 1; /* heads stay whole */
    const int64_t n = extent / unit;
    return (border(n, rank + 1, n_ranks) - border(n, rank, n_ranks)) * unit;
}

uint64_t rank_share_bytes(const struct model_config *config, const struct model_tensor *tensor,
                          uint64_t size_bytes, int rank, int n_ranks)
{
    const uint64_t extent = (uint64_t)tensor->shape[tensor->sharding == SHARDED_INPUT];
    return size_bytes / extent * (uint64_t)rank_share_extent(config, tensor, rank, n_ranks);
}
