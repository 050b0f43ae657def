#include "common/hash.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 64 };

uint64_t hash_string(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    while (*text)
        hash = (hash ^ (unsigned char)*text++) * 1099511628211u;
    return hash_number(hash); /* FNV's low bits alone are weak, and they choose the bucket */
}

uint64_t hash_number(uint64_t number)
{
    number = (number ^ (number >> 33)) * 0xff51afd7ed558ccdu;
    number = (number ^ (number >> 33)) * 0xc4ceb9fe1a85ec53u;
    return number ^ (number >> 33);
}

static struct hash_node **bucket_of(const struct hash_table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->n_buckets - 1)];
}

struct hash_node *hash_table_find(const struct hash_table *table, uint64_t hash, hash_matches *matches,
                                  const void *key)
{
    if (!table->n)
        return NULL;
    struct hash_node *node = *bucket_of(table, hash);
    while (node && !(node->hash == hash && matches(node, key)))
        node = node->next;
    return node;
}

static void put(struct hash_table *table, struct hash_node *node)
{
    struct hash_node **bucket = bucket_of(table, node->hash);
    node->next = *bucket;
    *bucket = node;
}

/* Twice the buckets. Without memory the table stays as it is. */
static void grow(struct hash_table *table)
{
    size_t n_buckets = table->n_buckets ? 2 * table->n_buckets : FIRST_BUCKETS;
    struct hash_table larger = {
        .buckets = calloc(n_buckets, sizeof *larger.buckets), .n_buckets = n_buckets, .n = table->n};
    if (!larger.buckets)
        return;
    for (size_t i = 0; i < table->n_buckets; i++) {
        for (struct hash_node *node = table->buckets[i], *next; node; node = next) {
            next = node->next;
            put(&larger, node);
        }
    }
    free(table->buckets);
    *table = larger;
}

bool hash_table_add(struct hash_table *table, struct hash_node *node, uint64_t hash)
{
    if (table->n >= table->n_buckets)
        grow(table);
    if (!table->n_buckets)
        return false;
    node->hash = hash;
    put(table, node);
    table->n++;
    return true;
}

void hash_table_remove(struct hash_table *table, struct hash_node *node)
{
    struct hash_node **link = bucket_of(table, node->hash);
    while (*link != node) {
        assert(*link); /* it is in the table */
        link = &(*link)->next;
    }
    *link = node->next;
    node->next = NULL;
    table->n--;
}

struct hash_node *hash_table_next(const struct hash_table *table, const struct hash_node *node)
{
    if (node && node->next)
        return node->next;
    size_t i = node ? (node->hash & (table->n_buckets - 1)) + 1 : 0;
    while (i < table->n_buckets && !table->buckets[i])
        i++;
    return i < table->n_buckets ? table->buckets[i] : NULL;
}

void hash_table_release(struct hash_table *table)
{
    free(table->buckets);
    *table = (struct hash_table){0};
}
