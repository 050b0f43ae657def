#ifndef MILLRACE_COMMON_MEMORY_BOUNDS_H
#define MILLRACE_COMMON_MEMORY_BOUNDS_H

/* What `millrace inspect --plan` may ask of the worker that answers it: ranks, texts together, tokens of
 * each. */
enum { MEMORY_RANKS_MAX = 64, MEMORY_BATCH_MAX = 4096, MEMORY_LENGTH_MAX = 1 << 20 };

#endif
