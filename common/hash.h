#ifndef MILLRACE_COMMON_HASH_H
#define MILLRACE_COMMON_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A table that finds things by a key in constant time and grows with what is in it.
 *
 * A thing embeds a struct hash_node. The table links the nodes and owns nothing. The caller computes the hash
 * of the key and says when a node has the key, so keys may be of any kind. Zeroed memory is an empty table.
 * The buckets double when there are as many things as buckets, so adding costs a constant on average. A table
 * does not shrink. Threads that share a table need a lock.
 */
struct hash_node {
    struct hash_node *next;
    uint64_t hash;
};

struct hash_table {
    struct hash_node **buckets;
    size_t n_buckets; /* a power of two, or 0 */
    size_t n;         /* things in the table */
};

/* FNV-1a of a string's bytes. It has no key: a client that chooses many names can make them collide. So a
 * table of names that strangers choose needs a bound of its own. */
uint64_t hash_string(const char *text);
/* A permutation of the 64-bit numbers that spreads neighbours over all bits. */
uint64_t hash_number(uint64_t number);

/* Says whether the node is the one with this key. Called for nodes of the same hash only. */
typedef bool hash_matches(const struct hash_node *node, const void *key);

/* NULL: the table has no such node. */
struct hash_node *hash_table_find(const struct hash_table *table, uint64_t hash, hash_matches *matches,
                                  const void *key);

/* Puts a node in; it must be in no table. False: no memory, and nothing is changed. That can happen to the
 * first node only: a table that cannot grow goes on with longer chains. */
bool hash_table_add(struct hash_table *table, struct hash_node *node, uint64_t hash);

/* Takes a node out. It must be in the table. */
void hash_table_remove(struct hash_table *table, struct hash_node *node);

/* Goes through all nodes in no particular order. The first call passes NULL; the last one returns NULL.
 * Between two calls the caller may remove nodes that it has passed; nothing else may change. */
struct hash_node *hash_table_next(const struct hash_table *table, const struct hash_node *node);

/* Frees the buckets, not the things. The table is empty again. */
void hash_table_release(struct hash_table *table);

#endif
