#ifndef MILLRACE_COORDINATOR_GATE_H
#define MILLRACE_COORDINATOR_GATE_H

#include "common/rpc/access.h"
#include "common/rpc/server.h"

/*
 * Who comes in: TLS, tokens, and the private line of the replicas that are started here.
 *
 * Replicas of our own come in by a socket of this machine that has a random name, with a random token that is
 * theirs alone: whatever certificates and tokens are asked for outside, they need none of them, and nothing
 * of it can expire under them. They learn the token from their environment.
 *
 * The files of certificates and clients are looked at once a second. What is wrong with a new one is logged,
 * and the old stays in force.
 */
struct gate_options {
    const char *tls_cert, *tls_key, *tls_client_ca; /* files; NULL: none */
    bool tls_client_optional;
    bool private_line;  /* replicas are started here */
    const char *tokens; /* file of clients (common/rpc/access_table.h); NULL: none */
};

struct gate {
    struct rpc_server_tls tls;
    bool is_tls;
    struct access *access;    /* NULL: everybody may do everything */
    char private_address[64]; /* "": none */
    char private_token[TOKEN_SIZE];
    struct rpc_server *server;
    struct file_watch *watch;
};

/* INVALID_ARGUMENT: options that do not go together. Files that are wrong are named. `options` must outlive
 * the gate. */
enum status gate_open(struct gate *gate, const struct gate_options *options, struct error *error);
/* What of it the server needs. */
void gate_server_options(const struct gate *gate, struct rpc_server_options *options);
/* The server is open: watches the files, and warns of what is open to everybody. */
enum status gate_watch(struct gate *gate, const struct gate_options *options, struct rpc_server *server,
                       struct error *error);
/* Before the server closes. */
void gate_stop_watching(struct gate *gate);
/* After the server is closed. */
void gate_close(struct gate *gate);

#endif
