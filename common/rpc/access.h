#ifndef MILLRACE_COMMON_RPC_ACCESS_H
#define MILLRACE_COMMON_RPC_ACCESS_H

#include "common/rpc/access_table.h"
#include "common/rpc/server.h"

/*
 * Who may call: the authoriser of a server that knows tokens or client certificates.
 *
 *   authorization: Bearer TOKEN      the client of the file with that hash
 *   a verified client certificate    the client of the file with one of its names; without a file: anyone
 *                                    whom the authorities signed, by its first name, with every scope
 *   neither                          UNAUTHENTICATED
 *
 * A token decides before a certificate. What is wrong with a credential is not said to who shows it; refusals
 * are counted, and logged at most once a second. No token is ever part of a sentence or a log line.
 */
struct access;

struct access_options {
    const char *file;     /* of clients (access_table.h); NULL: none. Must outlive it */
    bool any_certificate; /* without a file: a verified certificate is enough */
};

enum status access_open(const struct access_options *options, struct access **access, struct error *error);
/* After the server is closed. NULL is allowed. */
void access_free(struct access *access);

/* One more client, which only this process knows; kept when the file is read again. Before the server opens.
 */
void access_add(struct access *access, const struct rpc_caller *caller, const char *token);

/* Reads the file again. What is wrong with it leaves everything as it was. Any thread. */
enum status access_reload(struct access *access, struct error *error);

struct rpc_authorizer access_authorizer(struct access *access);

#endif
