#ifndef MILLRACE_COMMON_RPC_ADDRESS_H
#define MILLRACE_COMMON_RPC_ADDRESS_H

#include <stdbool.h>

/* Does what goes to, or comes in at, this address ("host:port", "[::1]:port", "unix:...") stay on this
 * machine? */
bool address_is_local(const char *address);

#endif
