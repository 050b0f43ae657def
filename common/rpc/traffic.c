#include "common/rpc/traffic.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

struct entry {
    struct hash_node node;
    struct peer_key key;
    struct traffic_share share;
    bool is_fresh; /* since the last traffic_forget somebody has written or taken it */
};

struct traffic {
    pthread_mutex_t mutex;
    struct hash_table entries;
};

/* ---- keys ---- */

static bool parse_host(const char *text, struct in6_addr *host)
{
    struct in_addr version4;
    if (inet_pton(AF_INET6, text, host) == 1)
        return true;
    if (inet_pton(AF_INET, text, &version4) != 1)
        return false;
    *host = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&host->s6_addr[12], &version4, sizeof version4);
    return true;
}

/* gRPC writes "ipv4:127.0.0.1:40112" and "ipv6:%5B::1%5D:40112". */
bool peer_key_parse(const char *address, struct peer_key *key)
{
    char host[INET6_ADDRSTRLEN];
    unsigned port;
    memset(key, 0, sizeof *key);
    bool is_address = sscanf(address, "ipv4:%45[0-9.]:%u", host, &port) == 2 ||
                      sscanf(address, "ipv6:%%5B%45[0-9a-fA-F:.]%%5D:%u", host, &port) == 2 ||
                      sscanf(address, "ipv6:[%45[0-9a-fA-F:.]]:%u", host, &port) == 2;
    key->port = is_address ? (uint16_t)port : 0;
    return is_address && parse_host(host, &key->host);
}

bool peer_key_equal(const struct peer_key *a, const struct peer_key *b)
{
    return a->port == b->port && !memcmp(&a->host, &b->host, sizeof a->host);
}

uint64_t peer_key_hash(const struct peer_key *key)
{
    uint64_t halves[2];
    memcpy(halves, &key->host, sizeof halves);
    return hash_number(halves[0] ^ hash_number(halves[1] + key->port));
}

/* ---- the table ---- */

struct traffic *traffic_create(void)
{
    struct traffic *traffic = calloc(1, sizeof *traffic);
    if (traffic)
        pthread_mutex_init(&traffic->mutex, NULL);
    return traffic;
}

static void remove_entries(struct traffic *traffic, bool all)
{
    struct hash_node *node = hash_table_next(&traffic->entries, NULL), *next;
    for (; node; node = next) {
        struct entry *entry = (struct entry *)node;
        next = hash_table_next(&traffic->entries, node);
        if (all || (!entry->is_fresh && !entry->share.n_reading)) {
            hash_table_remove(&traffic->entries, node);
            free(entry);
        } else {
            entry->is_fresh = false;
        }
    }
}

void traffic_free(struct traffic *traffic)
{
    if (!traffic)
        return;
    remove_entries(traffic, true);
    hash_table_release(&traffic->entries);
    pthread_mutex_destroy(&traffic->mutex);
    free(traffic);
}

static bool has_key(const struct hash_node *node, const void *key)
{
    return peer_key_equal(&((const struct entry *)node)->key, key);
}

/* NULL: no memory. Then the connection is judged without what it did, or later. */
static struct entry *find_or_add(struct traffic *traffic, const struct peer_key *key)
{
    uint64_t hash = peer_key_hash(key);
    struct entry *entry = (struct entry *)hash_table_find(&traffic->entries, hash, has_key, key);
    if (!entry && (entry = calloc(1, sizeof *entry))) {
        entry->key = *key;
        if (!hash_table_add(&traffic->entries, &entry->node, hash)) {
            free(entry);
            return NULL;
        }
    }
    if (entry)
        entry->is_fresh = true;
    return entry;
}

static void add(struct traffic *traffic, const struct peer_key *key, const struct traffic_share *more)
{
    pthread_mutex_lock(&traffic->mutex);
    struct entry *entry = find_or_add(traffic, key);
    if (entry) {
        entry->share.useful_bytes += more->useful_bytes;
        entry->share.n_vain += more->n_vain;
        entry->share.n_reading += more->n_reading;
    }
    pthread_mutex_unlock(&traffic->mutex);
}

void traffic_add_useful(struct traffic *traffic, const struct peer_key *key, size_t bytes)
{
    add(traffic, key, &(struct traffic_share){.useful_bytes = bytes});
}

void traffic_add_vain(struct traffic *traffic, const struct peer_key *key)
{
    add(traffic, key, &(struct traffic_share){.n_vain = 1});
}

void traffic_add_reading(struct traffic *traffic, const struct peer_key *key, int n)
{
    add(traffic, key, &(struct traffic_share){.n_reading = n});
}

struct traffic_share traffic_take(struct traffic *traffic, const struct peer_key *key)
{
    struct traffic_share share = {0};
    pthread_mutex_lock(&traffic->mutex);
    struct entry *entry =
        (struct entry *)hash_table_find(&traffic->entries, peer_key_hash(key), has_key, key);
    if (entry) {
        share = entry->share;
        entry->share = (struct traffic_share){.n_reading = share.n_reading};
        entry->is_fresh = true;
    }
    pthread_mutex_unlock(&traffic->mutex);
    return share;
}

void traffic_forget(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->mutex);
    remove_entries(traffic, false);
    pthread_mutex_unlock(&traffic->mutex);
}
