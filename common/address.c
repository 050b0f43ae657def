#include "common/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

enum { PORT_MOST = 65535, UNIX_PATH_MAX_BYTES = sizeof((struct sockaddr_un *)0)->sun_path - 1 };

static enum status refuse(struct error *error, const char *text, const char *why)
{
    return error_set(error, STATUS_INVALID_ARGUMENT, "\"%.100s\" is no address: %s", text, why);
}

/* The text behind a prefix; NULL: it does not begin with the prefix. */
static const char *after(const char *text, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(text, prefix, size) ? NULL : text + size;
}

/* ---- unix ---- */

static enum status read_unix(const char *text, const char *name, enum address_kind kind,
                             struct address *address, struct error *error)
{
    char why[96];
    if (kind == ADDRESS_UNIX && after(name, "///")) /* as in a URI */
        name += 2;
    if (!*name)
        return refuse(error, text, kind == ADDRESS_UNIX ? "write unix:PATH" : "write unix-abstract:NAME");
    if (strlen(name) > UNIX_PATH_MAX_BYTES) {
        snprintf(why, sizeof why, "the path has %zu bytes; a socket's has at most %d", strlen(name),
                 UNIX_PATH_MAX_BYTES);
        return refuse(error, text, why);
    }
    address->kind = kind;
    snprintf(address->host, sizeof address->host, "%s", name);
    return STATUS_OK;
}

/* ---- host and port ---- */

static enum status read_port(const char *text, const char *port, enum address_use use,
                             struct address *address, struct error *error)
{
    size_t size = strlen(port);
    if (!size)
        return refuse(error, text, "the port is missing; write HOST:PORT, as 127.0.0.1:7077");
    if (strspn(port, "0123456789") != size)
        return refuse(error, text, "the port must be a number; write HOST:PORT, as 127.0.0.1:7077");
    unsigned long number = 0;
    for (size_t i = 0; i < size && number <= PORT_MOST; i++)
        number = 10 * number + (unsigned long)(port[i] - '0');
    if (number > PORT_MOST)
        return refuse(error, text, "a port is at most 65535");
    if (number == 0 && use == ADDRESS_TO_CALL)
        return refuse(error, text, "nobody can be called at port 0");
    snprintf(address->port, sizeof address->port, "%lu", number);
    return STATUS_OK;
}

static enum status read_host(const char *text, const char *host, size_t size, struct address *address,
                             struct error *error)
{
    if (!size)
        return refuse(error, text, "the host is missing; write HOST:PORT, as 127.0.0.1:7077");
    if (size >= sizeof address->host)
        return refuse(error, text, "the host's name is too long");
    memcpy(address->host, host, size);
    address->host[size] = '\0';
    return STATUS_OK;
}

/* "[::1]:7077"; `rest` is behind the first bracket. An address with a zone, as fe80::1%eth0, is one too. */
static enum status read_bracketed(const char *text, const char *rest, enum address_use use,
                                  struct address *address, struct error *error)
{
    struct in6_addr version6;
    char number[INET6_ADDRSTRLEN];
    size_t size = strcspn(rest, "]"), number_size = strcspn(rest, "%]");
    snprintf(number, sizeof number, "%.*s", (int)number_size, rest);
    if (number_size >= sizeof number || inet_pton(AF_INET6, number, &version6) != 1 || !rest[size])
        return refuse(error, text, "between brackets belongs an IPv6 address, as [::1]:7077");
    if (rest[size + 1] != ':')
        return refuse(error, text, "the port is missing; write [IPV6]:PORT, as [::1]:7077");
    enum status status = read_host(text, rest, size, address, error);
    return status == STATUS_OK ? read_port(text, rest + size + 2, use, address, error) : status;
}

static enum status read_tcp(const char *text, const char *rest, enum address_use use, struct address *address,
                            struct error *error)
{
    size_t size = strcspn(rest, ":");
    if (strstr(rest, "://"))
        return refuse(error, text, "write HOST:PORT without a scheme before it, as 127.0.0.1:7077");
    if (rest[0] == '[')
        return read_bracketed(text, rest + 1, use, address, error);
    if (rest[size] && strchr(rest + size + 1, ':'))
        return refuse(error, text, "an IPv6 address stands in brackets, as [::1]:7077");
    if (strcspn(rest, "/?#@ \t\n]") < strlen(rest))
        return refuse(error, text, "write HOST:PORT, as 127.0.0.1:7077");
    enum status status = read_host(text, rest, size, address, error);
    if (status != STATUS_OK)
        return status;
    return read_port(text, rest[size] ? rest + size + 1 : "", use, address, error);
}

/* ---- all kinds ---- */

enum status address_parse(const char *text, enum address_use use, struct address *parsed, struct error *error)
{
    struct address address = {.kind = ADDRESS_TCP};
    enum status status;
    const char *path = after(text, "unix:"), *name = after(text, "unix-abstract:"),
               *named = use == ADDRESS_TO_CALL ? after(text, "dns:///") : NULL;
    if (path)
        status = read_unix(text, path, ADDRESS_UNIX, &address, error);
    else if (name)
        status = read_unix(text, name, ADDRESS_UNIX_ABSTRACT, &address, error);
    else
        status = read_tcp(text, named ? named : text, use, &address, error);
    if (status == STATUS_OK)
        *parsed = address;
    return status;
}

static bool is_version6(const struct address *address)
{
    return strchr(address->host, ':') != NULL;
}

static void format_unix(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
    snprintf(text, ADDRESS_TEXT_MAX, "%s:%s", address->kind == ADDRESS_UNIX ? "unix" : "unix-abstract",
             address->host);
}

void address_format_target(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
    if (address->kind != ADDRESS_TCP)
        format_unix(address, text);
    else
        snprintf(text, ADDRESS_TEXT_MAX, is_version6(address) ? "[%s]:%s" : "dns:///%s:%s", address->host,
                 address->port);
}

void address_format_bound(const struct address *address, int port, char text[ADDRESS_TEXT_MAX])
{
    if (address->kind != ADDRESS_TCP)
        format_unix(address, text);
    else
        snprintf(text, ADDRESS_TEXT_MAX, is_version6(address) ? "[%s]:%d" : "%s:%d", address->host, port);
}

bool address_is_local(const char *text)
{
    struct address address;
    struct in_addr version4;
    struct in6_addr version6;
    if (address_parse(text, ADDRESS_TO_LISTEN, &address, NULL) != STATUS_OK &&
        address_parse(text, ADDRESS_TO_CALL, &address, NULL) != STATUS_OK)
        return false;
    if (address.kind != ADDRESS_TCP)
        return true;
    if (inet_pton(AF_INET, address.host, &version4) == 1)
        return ntohl(version4.s_addr) >> 24 == 127;
    return !strcmp(address.host, "localhost") ||
           (inet_pton(AF_INET6, address.host, &version6) == 1 && IN6_IS_ADDR_LOOPBACK(&version6));
}
