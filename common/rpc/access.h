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
 * Where a client shows both, the token decides. A client is not told what is wrong with its credential.
 * Refusals are counted, and logged at most once a second. No token is ever part of a sentence or a log line.
 */
struct access;

struct access_options {
    const char *file;     /* of clients (access_table.h); NULL: none. Must outlive it */
    bool any_certificate; /* without a file: a verified certificate is enough */
};

enum status access_open(const struct access_options *options, struct access **access, struct error *error);
/* After the server is closed. NULL is allowed. */
void access_free(struct access *access);

/* Adds a client that only this process knows. It stays when the file is read again. Call before the server
 * opens.
 */
void access_add(struct access *access, const struct rpc_caller *caller, const char *token);

/* Reads the file again. A file that is wrong changes nothing. Any thread may call it. */
enum status access_reload(struct access *access, struct error *error);

/* What a client shows of itself, over gRPC or another protocol. */
struct access_shown {
    const char *authorization; /* the header; NULL: none */
    int n_authorization;       /* how many there are of it */
    /* The names in the client's verified certificate (rpc_call_tls_name); NULL at their end. */
    const char *(*tls_name)(const void *connection, int index);
    const void *connection;
    const char *peer; /* its address, for the log */
};

/* Finds the client. UNAUTHENTICATED: what it shows is not known here. `path` is for the log. Any thread may
 * call it. */
enum status access_admit(struct access *access, const struct access_shown *shown, const char *path,
                         struct rpc_caller *caller, struct error *error);

struct rpc_authorizer access_authorizer(struct access *access);

#endif
