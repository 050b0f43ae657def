#include "common/rpc/quota.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

enum { RETRY_AFTER_MS = 1000 };

struct entry {
    struct hash_node node;
    int n_open; /* at least 1: an entry goes with its last call */
    char name[];
};

struct quota {
    int max_in_all, max_of_one, n_open;
    struct hash_table entries;
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
    if (!quota)
        return;
    for (struct hash_node *node = hash_table_next(&quota->entries, NULL), *next; node; node = next) {
        next = hash_table_next(&quota->entries, node);
        free(node);
    }
    hash_table_release(&quota->entries);
    free(quota);
}

static bool has_name(const struct hash_node *node, const void *name)
{
    return !strcmp(((const struct entry *)node)->name, name);
}

static struct entry *find(struct quota *quota, const char *name)
{
    return (struct entry *)hash_table_find(&quota->entries, hash_string(name), has_name, name);
}

/* NULL: no memory. */
static struct entry *add(struct quota *quota, const char *name)
{
    size_t size = strlen(name) + 1;
    struct entry *entry = calloc(1, sizeof *entry + size);
    if (!entry)
        return NULL;
    memcpy(entry->name, name, size);
    if (hash_table_add(&quota->entries, &entry->node, hash_string(name)))
        return entry;
    free(entry);
    return NULL;
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
    struct entry *entry = find(quota, name);
    if (quota->n_open >= quota->max_in_all)
        return refuse(error, quota->n_open, "", "");
    if (entry && entry->n_open >= quota->max_of_one)
        return refuse(error, entry->n_open, " of ", name);
    if (!entry && !(entry = add(quota, name)))
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to count the calls of %s", name);
    entry->n_open++;
    quota->n_open++;
    return STATUS_OK;
}

void quota_give(struct quota *quota, const char *name)
{
    struct entry *entry = find(quota, name);
    if (!entry)
        return;
    quota->n_open--;
    if (--entry->n_open > 0)
        return;
    hash_table_remove(&quota->entries, &entry->node);
    free(entry);
}
