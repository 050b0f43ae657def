#include "common/rpc/access_table.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_read.h"

enum { FILE_BYTES_MAX = 16 << 20, CLIENTS_MAX = 10000 };
#define LIMIT_MAX 1e15

static const struct {
    const char *name;
    unsigned scope;
} scopes[] = {{"generate", RPC_SCOPE_GENERATE}, {"admin", RPC_SCOPE_ADMIN}, {"replica", RPC_SCOPE_REPLICA}};
enum { N_SCOPES = sizeof scopes / sizeof *scopes };

unsigned access_scope(const char *name)
{
    for (int i = 0; i < N_SCOPES; i++) {
        if (!strcmp(scopes[i].name, name))
            return scopes[i].scope;
    }
    return 0;
}

void access_scopes_format(unsigned set, char *text, size_t size)
{
    size_t n = 0;
    snprintf(text, size, "none");
    for (int i = 0; i < N_SCOPES && n < size; i++) {
        if (set & scopes[i].scope)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", scopes[i].name);
    }
}

bool access_name_is_legal(const char *name)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-";
    size_t size = strlen(name);
    return size > 0 && size < RPC_CALLER_NAME_MAX && strspn(name, legal) == size;
}

/* ---- one client ---- */

static enum status refuse(struct error *error, size_t index, const char *key, const char *what)
{
    return error_set(error, STATUS_INVALID_ARGUMENT, "clients[%zu].%s: %s", index, key, what);
}

static enum status read_name(const json_t *value, size_t index, struct access_client *client,
                             struct error *error)
{
    const char *name = json_string_value(value);
    if (!name || !access_name_is_legal(name))
        return refuse(error, index, "name", "a string of 1 to 63 letters, digits and . _ @ -");
    snprintf(client->caller.name, sizeof client->caller.name, "%s", name);
    return STATUS_OK;
}

static enum status read_hash(const json_t *value, size_t index, struct access_client *client,
                             struct error *error)
{
    const char *text = json_string_value(value);
    if (!text || !token_hash_parse(text, &client->token))
        return refuse(error, index, "token_sha256", "64 hexadecimal digits: `printf %s TOKEN | sha256sum`");
    client->has_token = true;
    return STATUS_OK;
}

static enum status read_certificate(const json_t *value, size_t index, struct access_client *client,
                                    struct error *error)
{
    const char *name = json_string_value(value);
    if (!name || !*name)
        return refuse(error, index, "certificate", "a name in the client's certificate, as a string");
    client->certificate = strdup(name);
    return client->certificate ? STATUS_OK
                               : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the clients");
}

static enum status read_scopes(const json_t *value, size_t index, struct access_client *client,
                               struct error *error)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        unsigned scope = name ? access_scope(name) : 0;
        if (!scope)
            return refuse(error, index, "scopes", "generate, admin or replica, each as a string");
        client->caller.scopes |= scope;
    }
    return client->caller.scopes ? STATUS_OK : refuse(error, index, "scopes", "a list of one or more scopes");
}

static enum status read_limit(const json_t *value, size_t index, const char *key, int64_t *limit,
                              struct error *error)
{
    json_int_t number = json_integer_value(value);
    if (json_is_null(value)) {
        *limit = -1;
        return STATUS_OK;
    }
    if (!json_is_integer(value) || number < 1 || (double)number > LIMIT_MAX)
        return refuse(error, index, key, "a whole number from 1 on, or null for no limit");
    *limit = number;
    return STATUS_OK;
}

static enum status read_key(const char *key, const json_t *value, size_t index, struct access_client *client,
                            struct error *error)
{
    if (!strcmp(key, "name"))
        return read_name(value, index, client, error);
    if (!strcmp(key, "token_sha256"))
        return read_hash(value, index, client, error);
    if (!strcmp(key, "certificate"))
        return read_certificate(value, index, client, error);
    if (!strcmp(key, "scopes"))
        return read_scopes(value, index, client, error);
    if (!strcmp(key, "max_requests"))
        return read_limit(value, index, key, &client->caller.max_requests, error);
    if (!strcmp(key, "max_tokens"))
        return read_limit(value, index, key, &client->caller.max_tokens, error);
    if (!strcmp(key, "token"))
        return refuse(error, index, key, "the file holds no tokens but their hashes: token_sha256");
    return error_set(error, STATUS_INVALID_ARGUMENT, "clients[%zu]: unknown key \"%.40s\"", index, key);
}

static enum status check_whole(const struct access_client *client, size_t index, struct error *error)
{
    if (!client->caller.name[0])
        return refuse(error, index, "name", "is missing");
    if (!client->has_token && !client->certificate)
        return refuse(error, index, "token_sha256", "is missing (or `certificate`)");
    return client->caller.scopes ? STATUS_OK : refuse(error, index, "scopes", "is missing");
}

static enum status check_alone(const struct access_table *table, size_t index, struct error *error)
{
    const struct access_client *client = &table->clients[index];
    for (size_t i = 0; i < index; i++) {
        const struct access_client *other = &table->clients[i];
        if (!strcmp(other->caller.name, client->caller.name))
            return refuse(error, index, "name", "another client has it already");
        if (other->has_token && client->has_token && token_hash_equal(&other->token, &client->token))
            return refuse(error, index, "token_sha256", "another client has it already");
        if (other->certificate && client->certificate && !strcmp(other->certificate, client->certificate))
            return refuse(error, index, "certificate", "another client has it already");
    }
    return STATUS_OK;
}

static enum status read_client(json_t *object, size_t index, struct access_table *table, struct error *error)
{
    const char *key;
    json_t *value;
    struct access_client *client = &table->clients[index];
    enum status status = STATUS_OK;
    if (!json_is_object(object))
        return error_set(error, STATUS_INVALID_ARGUMENT, "clients[%zu]: an object", index);
    table->n = index + 1;
    client->caller.authenticated = true;
    json_object_foreach(object, key, value)
    {
        if (status == STATUS_OK)
            status = read_key(key, value, index, client, error);
    }
    if (status == STATUS_OK)
        status = check_whole(client, index, error);
    return status == STATUS_OK ? check_alone(table, index, error) : status;
}

/* ---- the whole ---- */

static enum status read_clients(json_t *root, struct access_table *table, struct error *error)
{
    json_t *clients = json_object_get(root, "clients");
    size_t n = json_array_size(clients);
    if (!json_is_array(clients) || json_object_size(root) != 1)
        return error_set(error, STATUS_INVALID_ARGUMENT, "one object with one key: {\"clients\": [...]}");
    if (n > CLIENTS_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "clients: %zu of them; at most %d", n, CLIENTS_MAX);
    table->clients = calloc(n + 1, sizeof *table->clients);
    if (!table->clients)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu clients", n);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = read_client(json_array_get(clients, i), i, table, error);
    return status;
}

enum status access_table_parse(const char *text, size_t size_bytes, struct access_table *parsed,
                               struct error *error)
{
    json_error_t wrong;
    struct access_table table = {0};
    json_t *root = json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES, &wrong);
    if (!root)
        return error_set(error, STATUS_INVALID_ARGUMENT, "line %d, column %d: %s", wrong.line, wrong.column,
                         wrong.text);
    enum status status = read_clients(root, &table, error);
    json_decref(root);
    if (status == STATUS_OK)
        *parsed = table;
    else
        access_table_release(&table);
    return status;
}

/* A user who can write to the file can let anybody in. */
static enum status check_mode(int descriptor, const char *path, struct error *error)
{
    struct stat found;
    if (!fstat(descriptor, &found) && (found.st_mode & S_IWOTH))
        return error_set(error, STATUS_FAILED_PRECONDITION, "%s: everybody may write to it; `chmod o-w %s`",
                         path, path);
    return STATUS_OK;
}

static enum status parse_file(const char *path, const char *text, size_t size, struct access_table *table,
                              struct error *error)
{
    enum status status = access_table_parse(text, size, table, error);
    return status == STATUS_OK ? status : error_prefix(error, "%s", path);
}

enum status access_table_read(const char *path, struct access_table *table, struct error *error)
{
    int descriptor;
    char *text = NULL;
    size_t size;
    enum status status = file_open(path, FILE_ANY, &descriptor, error);
    if (status != STATUS_OK)
        return status;
    status = check_mode(descriptor, path, error);
    if (status == STATUS_OK)
        status = file_read_descriptor(descriptor, path, FILE_BYTES_MAX, &text, &size, error);
    close(descriptor);
    if (status == STATUS_OK)
        status = parse_file(path, text, size, table, error);
    free(text);
    return status;
}

void access_table_release(struct access_table *table)
{
    for (size_t i = 0; i < table->n; i++)
        free(table->clients[i].certificate);
    free(table->clients);
    *table = (struct access_table){0};
}

enum status access_check_scope(const struct rpc_caller *caller, unsigned any_of, const char *path,
                               struct error *error)
{
    char needed[64], has[64];
    if (caller->scopes & any_of)
        return STATUS_OK;
    access_scopes_format(any_of, needed, sizeof needed);
    access_scopes_format(caller->scopes, has, sizeof has);
    return error_set(error, STATUS_PERMISSION_DENIED, "%s needs the scope %s; %s has %s", path, needed,
                     caller->name, has);
}
