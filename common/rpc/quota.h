#ifndef MILLRACE_COMMON_RPC_QUOTA_H
#define MILLRACE_COMMON_RPC_QUOTA_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"

/* Internal to common/rpc: how many calls are open, in all and of each caller, by name. Not thread-safe: the
 * server's thread alone counts. */
struct quota;

struct quota *quota_create(int max_in_all, int max_of_one);
void quota_free(struct quota *quota); /* NULL is allowed */

/* Counts one more; RESOURCE_EXHAUSTED with a hint to try again, and nothing counted, when that is one too
 * many. */
enum status quota_take(struct quota *quota, const char *name, struct error *error);
void quota_give(struct quota *quota, const char *name);

#endif
