#ifndef MILLRACE_COMMON_RPC_QUOTA_H
#define MILLRACE_COMMON_RPC_QUOTA_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"

/* Internal to common/rpc: counts the open calls, in all and of each caller by name. Not thread-safe: only the
 * server's thread counts. */
struct quota;

struct quota *quota_create(int max_in_all, int max_of_one);
void quota_free(struct quota *quota); /* NULL is allowed */

/* Counts one more call. RESOURCE_EXHAUSTED: that would be one too many, and nothing is counted; the error
 * says when to try again. */
enum status quota_take(struct quota *quota, const char *name, struct error *error);
void quota_give(struct quota *quota, const char *name);

#endif
