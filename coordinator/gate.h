#ifndef MILLRACE_COORDINATOR_GATE_H
#define MILLRACE_COORDINATOR_GATE_H

#include "common/owned_directory.h"
#include "common/rpc/access.h"
#include "common/rpc/server.h"
#include "coordinator/http/door.h"

/*
 * Who comes in: TLS, tokens, and the private address of the replicas that are started here.
 *
 * Replicas that we start attach at a socket of this machine, with a random token that is theirs alone. They
 * need none of the certificates and tokens that are asked for outside, and nothing can expire under them.
 * They learn the token from their environment. The socket lies in a directory that only this user may enter,
 * so the kernel keeps other users of the machine out, also where no tokens are asked for.
 *
 * The files of certificates and clients are looked at once a second. What is wrong with a new one is logged,
 * and the old stays in force.
 */
struct gate_options {
    const char *tls_cert, *tls_key, *tls_client_ca; /* files; NULL: none */
    bool tls_client_optional;
    bool has_own_replicas; /* replicas are started here */
    const char *tokens;    /* file of clients (common/rpc/access_table.h); NULL: none */
};

struct gate {
    struct rpc_server_tls tls;
    bool is_tls;
    struct access *access; /* NULL: everybody may do everything */
    struct owned_directory private_directory;
    char private_address[OWNED_DIRECTORY_PATH_MAX + 16]; /* "": none */
    char private_token[TOKEN_SIZE];
    struct rpc_server *server;
    struct door *door; /* NULL: there is none */
    struct file_watch *watch;
};

/* INVALID_ARGUMENT: options that do not go together. Files that are wrong are named. RESOURCE_EXHAUSTED: no
 * place for the private socket. `options` must outlive
 * the gate. */
enum status gate_open(struct gate *gate, const struct gate_options *options, struct error *error);
/* Sets the options of the server that depend on the gate. */
void gate_server_options(const struct gate *gate, struct rpc_server_options *options);
/* The server is open, and the HTTP door if there is one (else NULL): watches the files, and warns of what is
 * open to everybody. */
enum status gate_watch(struct gate *gate, const struct gate_options *options, struct rpc_server *server,
                       struct door *door, struct error *error);
/* Call before the server and the door close. */
void gate_stop_watching(struct gate *gate);
/* Call after the server is closed. */
void gate_close(struct gate *gate);

#endif
