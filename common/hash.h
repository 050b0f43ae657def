#ifndef MILLRACE_COMMON_HASH_H
#define MILLRACE_COMMON_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A table that finds things by a key in constant time and grows with what is in it.
 *
 * A thing embeds a struct hash_node as its first member; the table links the nodes and owns nothing. The
 * caller computes the hash of the key and says when a node has the key, so keys may be of any kind. Zeroed
 * memory is an empty table. Adding costs an amortised constant: the buckets double when there are as many
 * things as buckets. A table does not shrink. Whoever shares a table between threads guards it.
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

/* FNV-1a of a string's bytes. Not keyed: who can choose many names can make them collide, so the names that
 * strangers choose need a bound of their own. */
uint64_t hash_string(const char *text);
/* A permutation of the 64-bit numbers that spreads neighbours over all bits. */
uint64_t hash_number(uint64_t number);

/* Says whether the node is the one with this key. Called for nodes of the same hash only. */
typedef bool hash_matches(const struct hash_node *node, const void *key);

/* NULL: the table has no such node. */
struct hash_node *hash_table_find(const struct hash_table *table, uint64_t hash, hash_matches *matches,
                                  const void *key);

/* Puts a node in, which must be in no table. False: no memory, and nothing is changed. Only the first node
 * can fail so: a table that cannot grow goes on with longer chains. */
bool hash_table_add(struct hash_table *table, struct hash_node *node, uint64_t hash);

/* Takes a node out that is in the table. */
void hash_table_remove(struct hash_table *table, struct hash_node *node);

/* Goes through all nodes in no particular order: begins with NULL, ends with NULL. The table must not change
 * between two calls, but for the removal of a node whose successor has been asked for. */
struct hash_node *hash_table_next(const struct hash_table *table, const struct hash_node *node);

/* Frees the buckets, not the things. The table is empty again. */
void hash_table_release(struct hash_table *table);

#endif
