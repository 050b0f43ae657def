#ifndef MILLRACE_COMMON_MODEL_TILING_H
#define MILLRACE_COMMON_MODEL_TILING_H

/*
 * Where the work on a model is cut, whatever the number of ranks: kernels compute in these units, and shard.h
 * gives them to the ranks.
 */
enum { MATMUL_LEAVES = 8 };     /* parts of a sum over a split dimension, added in one fixed tree */
enum { VOCABULARY_TILE = 128 }; /* columns whose sum of exp is kept as one number */
enum { VOCABULARY_GROUPS = 8 }; /* runs of whole tiles; the unit in which ranks share the vocabulary */

#endif
