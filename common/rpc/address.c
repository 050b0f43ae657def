#include "common/rpc/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool address_is_local(const char *address)
{
    char host[64];
    struct in_addr version4;
    struct in6_addr version6;
    const char *colon = strrchr(address, ':');
    if (!strncmp(address, "unix:", 5) || !strncmp(address, "unix-abstract:", 14))
        return true;
    if (!colon || colon - address >= (long)sizeof host)
        return false;
    bool bracketed = address[0] == '[' && colon > address + 1 && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(colon - address) - 2 * bracketed, address + bracketed);
    if (inet_pton(AF_INET, host, &version4) == 1)
        return ntohl(version4.s_addr) >> 24 == 127;
    return !strcmp(host, "localhost") ||
           (inet_pton(AF_INET6, host, &version6) == 1 && IN6_IS_ADDR_LOOPBACK(&version6));
}
