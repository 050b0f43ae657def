#ifndef MILLRACE_COMMON_MODEL_SHARD_H
#define MILLRACE_COMMON_MODEL_SHARD_H

#include <stdint.h>

#include "common/model/config.h"
#include "common/model/layout.h"
#include "common/model/tiling.h"

/*
 * Which part of the model a rank holds (tensor parallelism after Megatron-LM, arXiv 1909.08053).
 *
 *   q, k, v and MLP-up      by output: whole heads; runs of the MLP's hidden units
 *   attention-out, MLP-down by input, one all-reduce each
 *   embedding and LM head   by vocabulary: whole groups of tiles
 *   adaLN, norms, time      replicated
 *
 * Every sum over a split dimension is cut into MATMUL_LEAVES parts at places that do not depend on the number
 * of ranks, and added as one balanced tree, partly inside the ranks and partly between them. So 1, 2, 4 and 8
 * ranks give the same bits. Where the number of ranks does not divide MATMUL_LEAVES, each rank's part is one
 * leaf. The order is fixed then, too, but it is another one.
 */
struct range {
    int first, end;
};

struct shard {
    int rank, n_ranks;
    struct range heads;                          /* of n_heads */
    struct range hidden;                         /* of 4·D, the MLP's units */
    struct range columns;                        /* of n_ids, the vocabulary's columns */
    struct range groups;                         /* of VOCABULARY_GROUPS */
    int n_leaves;                                /* of this rank, a power of two */
    int32_t attention_leaf[MATMUL_LEAVES + 1];   /* within this rank's heads · head_size inputs */
    int32_t hidden_leaf[MATMUL_LEAVES + 1];      /* within this rank's hidden units */
    int32_t group_column[VOCABULARY_GROUPS + 1]; /* within this rank's columns; see struct head_scan */
};

void shard_init(struct shard *shard, const struct model_config *config, int rank, int n_ranks);

static inline int range_size(struct range range)
{
    return range.end - range.first;
}

/* How much of a tensor of `config`'s model the rank holds: how many columns where it is split by input, how
 * many rows otherwise. A rank holds all rows of a tensor that is not split. */
int64_t shard_extent(const struct shard *shard, const struct model_config *config,
                     const struct model_tensor *tensor);

/* How many tiles of VOCABULARY_TILE columns this rank's part of the vocabulary has. */
int shard_tiles(const struct shard *shard);

/* The groups that rank `rank` of `n_ranks` holds. */
struct range shard_groups(int rank, int n_ranks);

#endif
