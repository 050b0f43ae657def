#include "coordinator/scheduler/accounts.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a. A client cannot gain by a collision: its own names are all that it can choose. */
static unsigned bucket_of(const char *name)
{
    uint32_t hash = 2166136261u;
    while (*name)
        hash = (hash ^ (unsigned char)*name++) * 16777619u;
    return hash % ACCOUNTS_BUCKETS;
}

struct account *accounts_find(const struct accounts *accounts, const char *name)
{
    struct account *account = accounts->buckets[bucket_of(name)];
    while (account && strcmp(account->name, name))
        account = account->next;
    return account;
}

static struct account *open_account(struct accounts *accounts, const char *name)
{
    size_t size = strlen(name) + 1;
    struct account *account = calloc(1, sizeof *account + size), **bucket;
    if (!account)
        return NULL;
    memcpy(account->name, name, size);
    bucket = &accounts->buckets[bucket_of(name)];
    account->next = *bucket;
    *bucket = account;
    return account;
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
    struct account **link = &accounts->buckets[bucket_of(account->name)];
    while (*link != account)
        link = &(*link)->next;
    *link = account->next;
    free(account);
}
