#include "coordinator/scheduler/accounts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool has_name(const struct hash_node *node, const void *name)
{
    return !strcmp(((const struct account *)node)->name, name);
}

struct account *accounts_find(const struct accounts *accounts, const char *name)
{
    return (struct account *)hash_table_find(&accounts->by_name, hash_string(name), has_name, name);
}

static struct account *open_account(struct accounts *accounts, const char *name)
{
    size_t size = strlen(name) + 1;
    struct account *account = calloc(1, sizeof *account + size);
    if (!account)
        return NULL;
    memcpy(account->name, name, size);
    if (hash_table_add(&accounts->by_name, &account->node, hash_string(name)))
        return account;
    free(account);
    return NULL;
}

struct account *accounts_charge(struct accounts *accounts, const char *name, int64_t n_tokens)
{
    struct account *account = accounts_find(accounts, name);
    if (!account)
        account = open_account(accounts, name);
    if (!account)
        return NULL;
    account->n_requests++;
    account->n_tokens += n_tokens;
    return account;
}

void accounts_release(struct accounts *accounts, struct account *account, int64_t n_tokens)
{
    if (!account)
        return;
    account->n_tokens -= n_tokens;
    if (--account->n_requests > 0)
        return;
    hash_table_remove(&accounts->by_name, &account->node);
    free(account);
}

void accounts_close(struct accounts *accounts)
{
    hash_table_release(&accounts->by_name);
}
