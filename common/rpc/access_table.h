#ifndef MILLRACE_COMMON_RPC_ACCESS_TABLE_H
#define MILLRACE_COMMON_RPC_ACCESS_TABLE_H

#include <stddef.h>

#include "common/rpc/caller.h"
#include "common/rpc/token.h"
#include "common/status.h"

/*
 * The file of clients:
 *
 *   {"clients": [
 *     {"name": "anna", "token_sha256": "9f86...", "scopes": ["generate"],
 *      "max_requests": 8, "max_tokens": 65536},
 *     {"name": "rack-7", "certificate": "replica-7.cluster", "scopes": ["replica"]}
 *   ]}
 *
 * A client has `token_sha256`, or `certificate` (a whole name in a verified client certificate), or both:
 * either lets it in. The scopes are generate, admin and replica. A limit that is left out is the server's
 * default, and null is no limit.
 */
struct access_client {
    struct rpc_caller caller;
    bool has_token;
    struct token_hash token;
    char *certificate; /* NULL: none */
};

struct access_table {
    struct access_client *clients;
    size_t n;
};

/* INVALID_ARGUMENT names the place in the file and what is wrong there: an unknown or missing key; a name
 * that is not 1 to 63 of [A-Za-z0-9._@-]; two clients with one name or token; a hash or a scope that is none;
 * a limit out of bounds; more than 10,000 clients. */
enum status access_table_parse(const char *text, size_t size_bytes, struct access_table *table,
                               struct error *error);
/* The same of a file, with its name in the sentence. FAILED_PRECONDITION: everybody may write to it. */
enum status access_table_read(const char *path, struct access_table *table, struct error *error);
void access_table_release(struct access_table *table);

/* May a client have this name? */
bool access_name_is_legal(const char *name);
/* "generate" and so on as a bit; 0: there is none of that name. */
unsigned access_scope(const char *name);
/* "generate, admin"; "none". */
void access_scopes_format(unsigned scopes, char *text, size_t size);
/* PERMISSION_DENIED, with the scopes in the sentence: the caller has none of `any_of` (enum rpc_scope). */
enum status access_check_scope(const struct rpc_caller *caller, unsigned any_of, const char *path,
                               struct error *error);

#endif
