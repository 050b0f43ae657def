#include "common/rpc/quota.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { N_BUCKETS = 1024, RETRY_AFTER_MS = 1000 };

struct entry {
    struct entry *next;
    int n_open; /* at least 1: an entry goes with its last call */
    char name[];
};

struct quota {
    int max_in_all, max_of_one, n_open;
    struct entry *buckets[N_BUCKETS];
};

struct quota *quota_create(int max_in_all, int max_of_one)
{
    struct quota *quota = calloc(1, sizeof *quota);
    if (!quota)
        return NULL;
    quota->max_in_all = max_in_all;
    quota->max_of_one = max_of_one;
    return quota;
}

void quota_free(struct quota *quota)
{
    for (int i = 0; quota && i < N_BUCKETS; i++) {
        for (struct entry *entry = quota->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            free(entry);
        }
    }
    free(quota);
}

/* FNV-1a. Callers choose their names from a file or by their address: nobody can aim at one bucket for free.
 */
static struct entry **find(struct quota *quota, const char *name)
{
    uint32_t hash = 2166136261u;
    for (const char *at = name; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    struct entry **link = &quota->buckets[hash % N_BUCKETS];
    while (*link && strcmp((*link)->name, name) != 0)
        link = &(*link)->next;
    return link;
}

static enum status refuse(struct error *error, int n, const char *of, const char *name)
{
    enum status status = error_set(error, STATUS_RESOURCE_EXHAUSTED,
                                   "%d calls%s%s are open, which is the limit; try again later", n, of, name);
    if (error)
        error->retry_after_ms = RETRY_AFTER_MS;
    return status;
}

enum status quota_take(struct quota *quota, const char *name, struct error *error)
{
    struct entry **link = find(quota, name);
    if (quota->n_open >= quota->max_in_all)
        return refuse(error, quota->n_open, "", "");
    if (*link && (*link)->n_open >= quota->max_of_one)
        return refuse(error, (*link)->n_open, " of ", name);
    if (!*link) {
        *link = calloc(1, sizeof **link + strlen(name) + 1);
        if (!*link)
            return refuse(error, quota->n_open, "", "");
        strcpy((*link)->name, name);
    }
    (*link)->n_open++;
    quota->n_open++;
    return STATUS_OK;
}

void quota_give(struct quota *quota, const char *name)
{
    struct entry **link = find(quota, name), *entry = *link;
    if (!entry)
        return;
    quota->n_open--;
    if (--entry->n_open > 0)
        return;
    *link = entry->next;
    free(entry);
}
