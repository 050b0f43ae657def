#include "coordinator/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file_watch.h"
#include "common/log.h"
#include "common/address.h"

#define LOOK_SECONDS 1.0

static enum status check_options(const struct gate_options *options, struct error *error)
{
    if (options->tls_client_ca && !options->tls_cert)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "--tls-client-ca needs a certificate of the server too: --tls-cert and --tls-key");
    if (options->tls_client_optional && !(options->tls_client_ca && options->tokens))
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "--tls-client-optional needs --tls-client-ca and --tokens: a client shows one or the other");
    return STATUS_OK;
}

/* The private socket lies in the directory that the system gives a service or a user for such files, else
 * where Open MPI keeps its own. Programs that clean up /tmp leave a locked directory alone, and this one is
 * locked. */
static const char *const named_by[] = {"RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "TMPDIR"};
static const char *const parents[] = {"/tmp", "/dev/shm", "/var/tmp"};
enum { N_PLACES = 3 };

static bool make_private_directory(struct gate *gate, const char *parent, const char *name)
{
    struct owned_directory *directory = &gate->private_directory;
    if (!parent || parent[0] != '/')
        return false;
    owned_directory_sweep(parent);
    return owned_directory_make(directory, parent, name);
}

/* The name is random, so that no other user can take it before us. */
static enum status make_private_address(struct gate *gate, struct error *error)
{
    char random[TOKEN_SIZE], name[32];
    enum status status = token_make(random, error);
    if (status == STATUS_OK)
        status = token_make(gate->private_token, error);
    if (status != STATUS_OK)
        return status;
    snprintf(name, sizeof name, "private-%.12s", random + strlen("millrace_"));
    bool made = false;
    for (int i = 0; i < 2 * N_PLACES && !made; i++)
        made = make_private_directory(gate, i < N_PLACES ? getenv(named_by[i]) : parents[i - N_PLACES], name);
    if (!made)
        return error_set(
            error, STATUS_RESOURCE_EXHAUSTED,
            "no place for the socket of our own replicas: neither $TMPDIR nor /tmp, /dev/shm and "
            "/var/tmp can be written to");
    snprintf(gate->private_address, sizeof gate->private_address, "unix:%s/socket",
             gate->private_directory.path);
    return STATUS_OK;
}

static enum status open_access(struct gate *gate, const struct gate_options *options, struct error *error)
{
    const struct access_options access_options = {.file = options->tokens, .any_certificate = true};
    const struct rpc_caller own = {.name = "own-replica", .authenticated = true, .scopes = RPC_SCOPE_REPLICA};
    if (!options->tokens && !options->tls_client_ca)
        return STATUS_OK;
    enum status status = access_open(&access_options, &gate->access, error);
    if (status == STATUS_OK && options->has_own_replicas)
        access_add(gate->access, &own, gate->private_token);
    return status;
}

enum status gate_open(struct gate *gate, const struct gate_options *options, struct error *error)
{
    *gate = (struct gate){0};
    gate->is_tls = options->tls_cert || options->tls_key;
    gate->tls = (struct rpc_server_tls){options->tls_cert, options->tls_key, options->tls_client_ca,
                                        options->tls_client_optional};
    enum status status = check_options(options, error);
    if (status == STATUS_OK && options->has_own_replicas)
        status = make_private_address(gate, error);
    return status == STATUS_OK ? open_access(gate, options, error) : status;
}

void gate_server_options(const struct gate *gate, struct rpc_server_options *options)
{
    options->tls = gate->is_tls ? &gate->tls : NULL;
    options->private_address = *gate->private_address ? gate->private_address : NULL;
    if (gate->access)
        options->authorizer = access_authorizer(gate->access);
}

/* ---- while it runs ---- */

static void certificates_changed(void *context)
{
    struct gate *gate = context;
    struct error error;
    if (rpc_server_reload_tls(gate->server, &error) != STATUS_OK)
        log_error("the certificate in use stays: %s", error.text);
    else if (gate->door && door_reload_tls(gate->door, &error) != STATUS_OK)
        log_error("the certificate in use over HTTP stays: %s", error.text);
}

static void tokens_changed(void *context)
{
    struct gate *gate = context;
    struct error error;
    if (access_reload(gate->access, &error) != STATUS_OK)
        log_error("the clients so far stay: %s", error.text);
    else
        rpc_server_recheck(gate->server);
}

static void warn_of_open_door(const struct gate *gate, const char *address)
{
    if (address_is_local(address))
        return;
    if (!gate->is_tls)
        log_warning("%s is reached from other machines without TLS: texts and tokens go over the network in "
                    "the clear "
                    "(--tls-cert, --tls-key; docs/security.md)",
                    address);
    if (!gate->access)
        log_warning(
            "%s asks nobody who they are: whoever reaches it may use this cluster and attach replicas to it "
            "(--tokens or --tls-client-ca; docs/security.md)",
            address);
}

enum status gate_watch(struct gate *gate, const struct gate_options *options, struct rpc_server *server,
                       struct door *door, struct error *error)
{
    struct file_watch_item items[2];
    size_t n = 0;
    gate->server = server;
    gate->door = door;
    warn_of_open_door(gate, rpc_server_address(server));
    if (door)
        warn_of_open_door(gate, door_address(door));
    if (gate->is_tls)
        items[n++] = (struct file_watch_item){
            {options->tls_cert, options->tls_key, options->tls_client_ca}, certificates_changed, gate};
    if (options->tokens)
        items[n++] = (struct file_watch_item){{options->tokens}, tokens_changed, gate};
    return n ? file_watch_start(items, n, LOOK_SECONDS, &gate->watch, error) : STATUS_OK;
}

void gate_stop_watching(struct gate *gate)
{
    file_watch_stop(gate->watch);
    gate->watch = NULL;
}

void gate_close(struct gate *gate)
{
    access_free(gate->access);
    gate->access = NULL;
    owned_directory_remove(&gate->private_directory);
    explicit_bzero(gate->private_token, sizeof gate->private_token);
}
