#ifndef MILLRACE_COMMON_PLAN_BOUNDS_H
#define MILLRACE_COMMON_PLAN_BOUNDS_H

/* What `millrace inspect --plan` may ask of the worker that answers it: ranks, texts together, tokens of
 * each. */
enum { PLAN_RANKS_MAX = 64, PLAN_BATCH_MAX = 4096, PLAN_LENGTH_MAX = 1 << 20 };

#endif
