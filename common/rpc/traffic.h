#ifndef MILLRACE_COMMON_RPC_TRAFFIC_H
#define MILLRACE_COMMON_RPC_TRAFFIC_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Internal to common/rpc: what came of the bytes of each connection. The server writes here what it got from
 * a connection, and flood_watch.c compares that with the bytes that the system counts. Any thread may call
 * these functions.
 */

/* The other end of a TCP connection. */
struct peer_key {
    struct in6_addr host; /* an IPv4 address mapped */
    uint16_t port;
};

/* False: the address (as gRPC writes it) is none of TCP. */
bool peer_key_parse(const char *address, struct peer_key *key);
bool peer_key_equal(const struct peer_key *a, const struct peer_key *b);
uint64_t peer_key_hash(const struct peer_key *key);

struct traffic;

/* What a connection did since the last look. */
struct traffic_share {
    size_t useful_bytes; /* of whole messages, and of the headers of their calls */
    int n_vain;          /* calls that were refused, or that the client gave up at once */
    int n_reading;       /* messages that may be on their way now */
};

struct traffic *traffic_create(void); /* NULL: no memory */
void traffic_free(struct traffic *traffic);

void traffic_add_useful(struct traffic *traffic, const struct peer_key *key, size_t bytes);
void traffic_add_vain(struct traffic *traffic, const struct peer_key *key);
/* A message is expected (1), or has come or will not come (-1). */
void traffic_add_reading(struct traffic *traffic, const struct peer_key *key, int n);

/* Returns the connection's share and sets its counts of the time since the last look back to 0. */
struct traffic_share traffic_take(struct traffic *traffic, const struct peer_key *key);
/* Forgets what nobody has taken since the last call: of connections that are gone. */
void traffic_forget(struct traffic *traffic);

#endif
