#include "common/rpc/access.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/log.h"

enum { OWN_MAX = 4 };
#define LOG_PAUSE_SECONDS 1.0

struct access {
    struct access_options options;
    pthread_mutex_t mutex; /* guards table, and when refusals were logged */
    struct access_table table;

    struct access_client own[OWN_MAX]; /* not changed once the server is open */
    size_t n_own;

    double logged_at; /* of refusals; guarded by the mutex too */
    unsigned n_unlogged;
};

enum status access_open(const struct access_options *options, struct access **opened, struct error *error)
{
    struct access *access = calloc(1, sizeof *access);
    if (!access)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the clients' tokens");
    access->options = *options;
    pthread_mutex_init(&access->mutex, NULL);
    enum status status = options->file ? access_reload(access, error) : STATUS_OK;
    if (status == STATUS_OK)
        *opened = access;
    else
        access_free(access);
    return status;
}

void access_free(struct access *access)
{
    if (!access)
        return;
    access_table_release(&access->table);
    pthread_mutex_destroy(&access->mutex);
    free(access);
}

void access_add(struct access *access, const struct rpc_caller *caller, const char *token)
{
    if (access->n_own == OWN_MAX)
        return;
    struct access_client *client = &access->own[access->n_own++];
    client->caller = *caller;
    client->has_token = true;
    client->token = token_hash(token, strlen(token));
}

enum status access_reload(struct access *access, struct error *error)
{
    struct access_table table, old;
    enum status status = access_table_read(access->options.file, &table, error);
    if (status != STATUS_OK)
        return status;
    pthread_mutex_lock(&access->mutex);
    old = access->table;
    access->table = table;
    pthread_mutex_unlock(&access->mutex);
    access_table_release(&old);
    log_info("%s: %zu clients", access->options.file, table.n);
    return STATUS_OK;
}

/* ---- looking up; all entries, so that the time says nothing about which one it is ---- */

static bool find_token(const struct access_client *clients, size_t n, const struct token_hash *hash,
                       struct rpc_caller *caller)
{
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        if (clients[i].has_token && token_hash_equal(&clients[i].token, hash)) {
            *caller = clients[i].caller;
            found = true;
        }
    }
    return found;
}

static bool find_certificate(const struct access_table *table, const struct access_shown *shown,
                             struct rpc_caller *caller)
{
    const char *name;
    for (int index = 0; (name = shown->tls_name(shown->connection, index)); index++) {
        for (size_t i = 0; i < table->n; i++) {
            if (table->clients[i].certificate && !strcmp(table->clients[i].certificate, name)) {
                *caller = table->clients[i].caller;
                return true;
            }
        }
    }
    return false;
}

static bool admit_token(struct access *access, const char *token, struct rpc_caller *caller)
{
    const struct token_hash hash = token_hash(token, strlen(token));
    if (find_token(access->own, access->n_own, &hash, caller))
        return true;
    pthread_mutex_lock(&access->mutex);
    bool found = find_token(access->table.clients, access->table.n, &hash, caller);
    pthread_mutex_unlock(&access->mutex);
    return found;
}

/* A name of a certificate goes into logs: only what every log can hold. */
static void copy_name(struct rpc_caller *caller, const char *name)
{
    snprintf(caller->name, sizeof caller->name, "%s", name);
    for (char *at = caller->name; *at; at++) {
        if ((unsigned char)*at <= ' ' || (unsigned char)*at > '~')
            *at = '?';
    }
}

static bool admit_certificate(struct access *access, const struct access_shown *shown,
                              struct rpc_caller *caller)
{
    const char *name = shown->tls_name(shown->connection, 0);
    if (!access->options.file && access->options.any_certificate && name) {
        caller->authenticated = true; /* with every scope */
        copy_name(caller, name);
        return true;
    }
    pthread_mutex_lock(&access->mutex);
    bool found = find_certificate(&access->table, shown, caller);
    pthread_mutex_unlock(&access->mutex);
    return found;
}

/* ---- refusing ---- */

/* At most once in a while: a client that is refused again and again must not fill the disk. */
static void log_refusal(struct access *access, const struct access_shown *shown, const char *path,
                        const char *why)
{
    double now = clock_seconds();
    pthread_mutex_lock(&access->mutex);
    bool now_and_then = !access->logged_at || now - access->logged_at >= LOG_PAUSE_SECONDS;
    unsigned n_unlogged = access->n_unlogged;
    access->n_unlogged = now_and_then ? 0 : n_unlogged + 1;
    access->logged_at = now_and_then ? now : access->logged_at;
    pthread_mutex_unlock(&access->mutex);
    if (now_and_then)
        log_warning("refused %s for %.80s: %s (%u more since the last such line)", shown->peer, path, why,
                    n_unlogged);
}

/* The token behind "Bearer "; NULL: the header says something else. */
static const char *bearer(const char *header)
{
    return !strncasecmp(header, "Bearer ", 7) && header[7] ? header + 7 : NULL;
}

enum status access_admit(struct access *access, const struct access_shown *shown, const char *path,
                         struct rpc_caller *caller, struct error *error)
{
    const char *header = shown->authorization;
    const char *token = header ? bearer(header) : NULL, *why;
    if (shown->n_authorization > 1)
        why = "more than one authorization header";
    else if (header && !token)
        why = "the authorization header is not \"Bearer TOKEN\"";
    else if (token && admit_token(access, token, caller))
        return STATUS_OK;
    else if (token)
        why = "the token is not known here";
    else if (admit_certificate(access, shown, caller))
        return STATUS_OK;
    else
        why = shown->tls_name(shown->connection, 0)
                  ? "the client certificate is not known here, and there is no token"
              : access->options.file ? "a token is needed: the header \"authorization: Bearer TOKEN\""
                                     : "a client certificate is needed";
    log_refusal(access, shown, path, why);
    return error_set(error, STATUS_UNAUTHENTICATED, "%s", why);
}

static const char *tls_name_of_call(const void *call, int index)
{
    return rpc_call_tls_name(call, index);
}

static enum status authorize(const struct rpc_call *call, const char *path, struct rpc_caller *caller,
                             void *context, struct error *error)
{
    const struct access_shown shown = {
        .authorization = rpc_call_header(call, "authorization"),
        .n_authorization = rpc_call_n_headers(call, "authorization"),
        .tls_name = tls_name_of_call,
        .connection = call,
        .peer = rpc_call_peer(call),
    };
    return access_admit(context, &shown, path, caller, error);
}

struct rpc_authorizer access_authorizer(struct access *access)
{
    return (struct rpc_authorizer){authorize, access};
}
