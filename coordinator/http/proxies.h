#ifndef MILLRACE_COORDINATOR_HTTP_PROXIES_H
#define MILLRACE_COORDINATOR_HTTP_PROXIES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/status.h"

/*
 * Proxies that we trust to say for whom they ask (X-Forwarded-For). Each proxy appends the address that it
 * was called from. So the list is read from its end: as long as the one who spoke is trusted, the address
 * before it is believed. What a client writes into the header itself stands further left, and is not reached.
 */
struct proxy_network {
    unsigned char address[16]; /* IPv6; an IPv4 address mapped */
    int n_bits;
};

struct proxies {
    struct proxy_network *networks;
    size_t n;
};

/* "10.0.0.0/8, 127.0.0.1, ::1"; NULL and "": nobody. INVALID_ARGUMENT names the entry. */
enum status proxies_parse(const char *text, struct proxies *proxies, struct error *error);
void proxies_release(struct proxies *proxies);

/* The client's address as accounts are named ("10.1.2.3", "[2001:db8::1]"). `forwarded`: all X-Forwarded-For
 * headers, joined with commas; NULL: there is none. */
void proxies_client(const struct proxies *proxies, const struct sockaddr *peer, const char *forwarded,
                    char *name, size_t size);

#endif
