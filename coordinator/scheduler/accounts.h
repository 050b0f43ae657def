#ifndef MILLRACE_COORDINATOR_SCHEDULER_ACCOUNTS_H
#define MILLRACE_COORDINATOR_SCHEDULER_ACCOUNTS_H

#include <stdint.h>

#include "common/hash.h"

/* What one client has queued and running. An account exists as long as its client has a request. */
struct account {
    struct hash_node node;
    int64_t n_requests, n_tokens; /* tokens: positions */
    char name[];
};

/* The accounts by the names of the clients. The scheduler's lock guards them. Zeroed memory is an empty
 * table. */
struct accounts {
    struct hash_table by_name;
};

/* NULL: that client has no request. */
struct account *accounts_find(const struct accounts *accounts, const char *name);
/* Adds one more request to the client's account. NULL: no memory; then nothing changes. */
struct account *accounts_charge(struct accounts *accounts, const char *name, int64_t n_tokens);
/* Takes one request off the account. With the last one the account is freed. NULL is allowed. */
void accounts_release(struct accounts *accounts, struct account *account, int64_t n_tokens);
/* Frees the table. Call it when no account is left. */
void accounts_close(struct accounts *accounts);

#endif
