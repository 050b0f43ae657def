#ifndef MILLRACE_COORDINATOR_SCHEDULER_ACCOUNTS_H
#define MILLRACE_COORDINATOR_SCHEDULER_ACCOUNTS_H

#include <stdint.h>

#include "common/hash.h"

/* What each client has queued and running, by its name. Guarded by the scheduler's lock. Zeroed memory is an
 * empty table; an account is there as long as its client has a request. */
struct account {
    struct hash_node node;
    int64_t n_requests, n_tokens;
    char name[];
};

struct accounts {
    struct hash_table by_name;
};

/* NULL: that client has nothing. */
struct account *accounts_find(const struct accounts *accounts, const char *name);
/* Books one more request. NULL without memory, and nothing is booked. */
struct account *accounts_charge(struct accounts *accounts, const char *name, int64_t n_tokens);
/* Takes one back; with the last the account is gone. NULL is allowed. */
void accounts_release(struct accounts *accounts, struct account *account, int64_t n_tokens);
/* No client has anything any more. */
void accounts_close(struct accounts *accounts);

#endif
