#ifndef MILLRACE_COMMON_ADDRESS_H
#define MILLRACE_COMMON_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"

/*
 * Where a program listens or calls, as people write it:
 *
 *   HOST:PORT            127.0.0.1:7077, localhost:7077, node-3.example.org:7077
 *   [IPV6]:PORT          [::1]:7077
 *   unix:PATH            unix:/run/millrace/socket (unix:///run/... is the same)
 *   unix-abstract:NAME   a name that is no file
 *   dns:///HOST:PORT     the same as HOST:PORT, for those who are used to gRPC's form; only to call
 *
 * Libraries guess what an incomplete address means: gRPC takes port 443 where none is written, and 34463 for
 * 99999. So the program reads every address here before a library sees it.
 */
enum address_kind { ADDRESS_TCP, ADDRESS_UNIX, ADDRESS_UNIX_ABSTRACT };

enum address_use {
    ADDRESS_TO_LISTEN, /* port 0 is any free port */
    ADDRESS_TO_CALL,   /* the port is 1 to 65535 */
};

enum { ADDRESS_HOST_MAX = 256, ADDRESS_PORT_MAX = 6, ADDRESS_TEXT_MAX = ADDRESS_HOST_MAX + 24 };

struct address {
    enum address_kind kind;
    char host[ADDRESS_HOST_MAX]; /* without brackets; for a unix address the path or the name */
    char port[ADDRESS_PORT_MAX]; /* digits; for a unix address "" */
};

/* INVALID_ARGUMENT names the text and what is wrong with it. */
enum status address_parse(const char *text, enum address_use use, struct address *address,
                          struct error *error);

/* Writes the address as gRPC takes it for a target, with nothing left to guess. */
void address_format_target(const struct address *address, char text[ADDRESS_TEXT_MAX]);

/* Writes HOST:PORT with the port that was bound, in brackets where the host is an IPv6 address. */
void address_format_bound(const struct address *address, int port, char text[ADDRESS_TEXT_MAX]);

/* True: traffic to and from this address stays on this machine. False for a text that is no address. */
bool address_is_local(const char *text);

#endif
