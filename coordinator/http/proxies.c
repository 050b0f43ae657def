#include "coordinator/http/proxies.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_TEXT = INET6_ADDRSTRLEN, MOST_NETWORKS = 256 };

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

static void map_ipv4(const void *ipv4, unsigned char address[16])
{
    memcpy(address, mapped, sizeof mapped);
    memcpy(address + sizeof mapped, ipv4, 4);
}

/* Reads "1.2.3.4" or "2001:db8::1". Returns the bits of such an address; 0: it is none. */
static int read_address(const char *text, unsigned char address[16])
{
    struct in_addr ipv4;
    if (inet_pton(AF_INET, text, &ipv4) == 1) {
        map_ipv4(&ipv4, address);
        return 32;
    }
    return inet_pton(AF_INET6, text, address) == 1 ? 128 : 0;
}

static enum status read_network(char *text, struct proxy_network *network, struct error *error)
{
    char *slash = strchr(text, '/'), *end = NULL;
    if (slash)
        *slash = '\0';
    int all = read_address(text, network->address);
    long bits = slash ? strtol(slash + 1, &end, 10) : all;
    if (!all || bits < 0 || bits > all || (slash && (end == slash + 1 || *end)))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "--http-trusted-proxies: \"%.60s%s%.10s\" is no address and no network such as "
                         "10.0.0.0/8",
                         text, slash ? "/" : "", slash ? slash + 1 : "");
    network->n_bits = (int)bits + 128 - all;
    return STATUS_OK;
}

enum status proxies_parse(const char *text, struct proxies *proxies, struct error *error)
{
    struct proxies made = {.networks = calloc(MOST_NETWORKS, sizeof *made.networks)};
    char *copy = strdup(text ? text : ""), *rest = copy;
    enum status status = STATUS_OK;
    if (!made.networks || !copy)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for --http-trusted-proxies");
    for (char *word; status == STATUS_OK && (word = strtok_r(rest, ", ", &rest));) {
        if (made.n == MOST_NETWORKS)
            status = error_set(error, STATUS_INVALID_ARGUMENT,
                               "--http-trusted-proxies: more than %d networks", MOST_NETWORKS);
        else
            status = read_network(word, &made.networks[made.n++], error);
    }
    free(copy);
    if (status == STATUS_OK)
        *proxies = made;
    else
        proxies_release(&made);
    return status;
}

void proxies_release(struct proxies *proxies)
{
    free(proxies->networks);
    *proxies = (struct proxies){0};
}

static bool is_in(const struct proxy_network *network, const unsigned char address[16])
{
    int whole = network->n_bits / 8, left = network->n_bits % 8;
    if (memcmp(network->address, address, (size_t)whole) != 0)
        return false;
    unsigned mask = left ? 0xffu << (8 - left) & 0xffu : 0;
    return !left || ((network->address[whole] ^ address[whole]) & mask) == 0;
}

static bool is_trusted(const struct proxies *proxies, const unsigned char address[16])
{
    for (size_t i = 0; i < proxies->n; i++) {
        if (is_in(&proxies->networks[i], address))
            return true;
    }
    return false;
}

/* Reads one entry of the header: an address, perhaps with a port. */
static bool read_entry(const char *text, size_t size, unsigned char address[16])
{
    char copy[ADDRESS_TEXT + 8];
    while (size && (*text == ' ' || *text == '\t'))
        text++, size--;
    while (size && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        size--;
    if (!size || size >= sizeof copy)
        return false;
    snprintf(copy, sizeof copy, "%.*s", (int)size, text);
    char *at = copy, *colon = strrchr(copy, ':');
    if (*at == '[') {
        at++;
        at[strcspn(at, "]")] = '\0';
    } else if (colon && strchr(copy, ':') == colon) {
        *colon = '\0';
    }
    return read_address(at, address) != 0;
}

/* Walks the header from its end, from one trusted hop to the one before it. */
static void walk_back(const struct proxies *proxies, const char *forwarded, unsigned char address[16])
{
    size_t end = strlen(forwarded);
    while (is_trusted(proxies, address)) {
        size_t begin = end;
        while (begin > 0 && forwarded[begin - 1] != ',')
            begin--;
        unsigned char before[16];
        if (!read_entry(forwarded + begin, end - begin, before))
            return;
        memcpy(address, before, sizeof before);
        if (begin == 0)
            return;
        end = begin - 1;
    }
}

void proxies_client(const struct proxies *proxies, const struct sockaddr *peer, const char *forwarded,
                    char *name, size_t size)
{
    unsigned char address[16] = {0};
    char text[ADDRESS_TEXT] = "?";
    if (peer->sa_family == AF_INET6)
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, sizeof address);
    else if (peer->sa_family == AF_INET)
        map_ipv4(&((const struct sockaddr_in *)(const void *)peer)->sin_addr, address);
    if (forwarded)
        walk_back(proxies, forwarded, address);
    bool is_ipv4 = !memcmp(address, mapped, sizeof mapped);
    inet_ntop(is_ipv4 ? AF_INET : AF_INET6, is_ipv4 ? address + sizeof mapped : address, text, sizeof text);
    snprintf(name, size, is_ipv4 ? "%s" : "[%s]", text);
}
