#include "common/model/shard.h"

#include <stdbool.h>

/* Part `part` of `n_parts` of n things: sizes differ by at most one, borders depend on nothing else. */
static struct range part_of(int n, int part, int n_parts)
{
    struct range range = {(int)((int64_t)n * part / n_parts), (int)((int64_t)n * (part + 1) / n_parts)};
    return range;
}

struct range shard_groups(int rank, int n_ranks)
{
    return part_of(VOCABULARY_GROUPS, rank, n_ranks);
}

/* Borders, relative to the rank's own first, of its leaves of n things that count `unit` inputs each. */
static void leaf_borders(int32_t *border, int n, int unit, const struct shard *shard)
{
    int first_leaf = shard->n_leaves * shard->rank, n_parts = shard->n_leaves * shard->n_ranks;
    int start = part_of(n, first_leaf, n_parts).first;
    for (int i = 0; i <= shard->n_leaves; i++)
        border[i] = (int32_t)(((int64_t)n * (first_leaf + i) / n_parts - start) * unit);
}

static int group_start(int group, int n_ids)
{
    int n_tiles = (n_ids + VOCABULARY_TILE - 1) / VOCABULARY_TILE;
    int column = (int)((int64_t)n_tiles * group / VOCABULARY_GROUPS) * VOCABULARY_TILE;
    return column < n_ids ? column : n_ids;
}

static void share_vocabulary(struct shard *shard, int n_ids)
{
    shard->groups = shard_groups(shard->rank, shard->n_ranks);
    shard->columns.first = group_start(shard->groups.first, n_ids);
    shard->columns.end = group_start(shard->groups.end, n_ids);
    for (int i = 0; i <= range_size(shard->groups); i++)
        shard->group_column[i] = group_start(shard->groups.first + i, n_ids) - shard->columns.first;
}

void shard_init(struct shard *shard, const struct model_config *config, int rank, int n_ranks)
{
    *shard = (struct shard){.rank = rank, .n_ranks = n_ranks};
    bool divides = n_ranks <= MATMUL_LEAVES && MATMUL_LEAVES % n_ranks == 0;
    shard->n_leaves = divides ? MATMUL_LEAVES / n_ranks : 1;
    shard->heads = part_of(config->n_heads, rank, n_ranks);
    shard->hidden = part_of(4 * config->hidden, rank, n_ranks);
    leaf_borders(shard->attention_leaf, config->n_heads, config->head_size, shard);
    leaf_borders(shard->hidden_leaf, 4 * config->hidden, 1, shard);
    share_vocabulary(shard, config->n_ids);
}

int64_t shard_extent(const struct shard *shard, const struct model_config *config,
                     const struct model_tensor *tensor)
{
    const int64_t extent = tensor->shape[tensor->sharding == SHARDED_INPUT];
    if (tensor->sharding == SHARDED_NOT)
        return extent;
    if (tensor->sharding == SHARDED_VOCABULARY)
        return range_size(shard->columns);
    if (tensor->sharding == SHARDED_THRICE)
        return 3 * (int64_t)range_size(shard->heads) * config->head_size;
    return extent == config->hidden ? range_size(shard->heads) * config->head_size
                                    : range_size(shard->hidden);
}

int shard_tiles(const struct shard *shard)
{
    return (range_size(shard->columns) + VOCABULARY_TILE - 1) / VOCABULARY_TILE;
}
