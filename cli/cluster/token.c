/* `millrace token`: makes the token of a client, and keeps the file that the coordinator knows its clients
 * by. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/file_lock.h"
#include "common/new_file.h"
#include "common/output.h"
#include "common/rpc/access_table.h"

struct token_settings {
    const char *scopes, *file;
    int64_t max_requests, max_tokens;
    bool revoke;
};

/* ---- one client ---- */

static enum status add_scopes(json_t *list, const char *text, struct error *error)
{
    char copy[128];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *rest = copy, *name; (name = strsep(&rest, ", "));) {
        if (*name && !access_scope(name))
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "--scopes %s: there is no scope '%s'; generate, admin and replica are", text,
                             name);
        if (*name)
            json_array_append_new(list, json_string(name));
    }
    return json_array_size(list) ? STATUS_OK
                                 : error_set(error, STATUS_INVALID_ARGUMENT, "--scopes names none");
}

static enum status make_client(const struct token_settings *settings, const char *name, const char *token,
                               json_t **client, struct error *error)
{
    char text[TOKEN_HASH_TEXT];
    const struct token_hash hash = token_hash(token, strlen(token));
    token_hash_format(&hash, text);
    json_t *scopes = json_array();
    enum status status = add_scopes(scopes, settings->scopes, error);
    if (status != STATUS_OK) {
        json_decref(scopes);
        return status;
    }
    *client = json_pack("{s:s, s:s, s:o}", "name", name, "token_sha256", text, "scopes", scopes);
    if (settings->max_requests)
        json_object_set_new(*client, "max_requests", json_integer(settings->max_requests));
    if (settings->max_tokens)
        json_object_set_new(*client, "max_tokens", json_integer(settings->max_tokens));
    return STATUS_OK;
}

/* ---- the file ---- */

/* {"clients": []} where there is no file yet. */
static enum status load(const char *path, json_t **root, struct error *error)
{
    json_error_t wrong;
    struct access_table table;
    if (access(path, F_OK) && errno == ENOENT) {
        *root = json_pack("{s:[]}", "clients");
        return STATUS_OK;
    }
    enum status status = access_table_read(path, &table, error); /* its sentences are the coordinator's */
    if (status != STATUS_OK)
        return status;
    access_table_release(&table);
    *root = json_load_file(path, 0, &wrong);
    return *root ? STATUS_OK : error_set(error, STATUS_INVALID_ARGUMENT, "%s: %s", path, wrong.text);
}

/* True: there was one. */
static bool remove_client(json_t *clients, const char *name)
{
    for (size_t i = 0; i < json_array_size(clients); i++) {
        const char *other = json_string_value(json_object_get(json_array_get(clients, i), "name"));
        if (other && !strcmp(other, name)) {
            json_array_remove(clients, i);
            return true;
        }
    }
    return false;
}

/* The file's next content. `client`: NULL only removes. */
static enum status change(const char *path, const char *name, json_t *client, char **text,
                          struct error *error)
{
    json_t *root = NULL;
    enum status status = load(path, &root, error);
    if (status != STATUS_OK)
        return status;
    json_t *clients = json_object_get(root, "clients");
    bool was_there = remove_client(clients, name);
    if (client)
        json_array_append(clients, client);
    else if (!was_there)
        status = error_set(error, STATUS_NOT_FOUND, "%s: there is no client \"%s\"", path, name);
    *text = status == STATUS_OK ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    if (status == STATUS_OK && !*text)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to write %s", path);
    json_decref(root);
    return status;
}

/* The new token goes out before the file takes it up: a token that nobody has read must not replace one in
 * use. */
static enum status deliver(const char *token, struct error *error)
{
    puts(token);
    return output_deliver(error);
}

/* A coordinator that reads meanwhile sees the old file or the new one. `token`: NULL for none. */
static enum status replace(const char *path, const char *text, const char *token, struct error *error)
{
    struct new_file *file;
    enum status status = new_file_create_private(path, &file, error);
    if (status != STATUS_OK)
        return status;
    status = new_file_write(file, text, strlen(text), error);
    if (status == STATUS_OK)
        status = new_file_write(file, "\n", 1, error);
    if (status == STATUS_OK)
        status = new_file_sync(file, error);
    if (status == STATUS_OK && token)
        status = deliver(token, error);
    if (status == STATUS_OK)
        return new_file_commit(file, error);
    new_file_abandon(file);
    return status;
}

/* Under a lock from reading to writing, so that two commands at once do not undo each other. */
static enum status change_file(const char *path, const char *name, json_t *client, const char *token,
                               struct error *error)
{
    struct file_lock lock;
    char *text = NULL;
    enum status status = file_lock_wait(path, &lock, error);
    if (status != STATUS_OK)
        return status;
    status = change(path, name, client, &text, error);
    if (status == STATUS_OK)
        status = replace(path, text, token, error);
    file_lock_release(&lock);
    free(text);
    return status;
}

/* ---- the command ---- */

static enum status give(const struct token_settings *settings, const char *name, struct error *error)
{
    char token[TOKEN_SIZE];
    json_t *client = NULL;
    enum status status = token_make(token, error);
    if (status == STATUS_OK)
        status = make_client(settings, name, token, &client, error);
    if (status == STATUS_OK)
        status =
            settings->file ? change_file(settings->file, name, client, token, error) : deliver(token, error);
    if (status == STATUS_OK && !settings->file) {
        char *text = json_dumps(client, JSON_PRESERVE_ORDER);
        fprintf(stderr, "for \"clients\" in the file of --tokens:\n%s\n", text ? text : "");
        free(text);
    }
    json_decref(client);
    explicit_bzero(token, sizeof token);
    return status;
}

static enum status check(const struct token_settings *settings, const char *name, struct error *error)
{
    if (!name || !access_name_is_legal(name))
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "the client needs a name of 1 to 63 letters, digits and . _ @ -: millrace token NAME");
    if (settings->revoke && !settings->file)
        return error_set(error, STATUS_INVALID_ARGUMENT, "--revoke needs the file: --tokens FILE");
    return STATUS_OK;
}

int token_main(int argc, char **argv)
{
    struct token_settings s;
    const struct option_row rows[] = {
        {"tokens", 0, OPTION_TEXT, "FILE", "MILLRACE_TOKENS", NULL, 0, 0,
         "Put the client into FILE, in place of one of that name; a coordinator that runs takes it up within "
         "a second.",
         &s.file, NULL},
        {"scopes", 0, OPTION_TEXT, "LIST", NULL, "generate", 0, 0,
         "What the client may do: generate (texts, tokens, status), admin (drain, restart), replica (attach "
         "as one).",
         &s.scopes, NULL},
        {"max-requests", 0, OPTION_INTEGER, "N", NULL, "0", 0, 1e15,
         "Requests that it may have waiting and running; 0: the coordinator's default.", &s.max_requests,
         NULL},
        {"max-tokens", 0, OPTION_INTEGER, "N", NULL, "0", 0, 1e15,
         "Tokens of all of them; 0: the coordinator's default.", &s.max_tokens, NULL},
        {"revoke", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Take the client out of FILE.", &s.revoke, NULL},
        {NULL},
    };
    const struct option_table table = {
        .program = "millrace token",
        .summary = "Makes a token for a client and prints it, once: the file of clients holds only its "
                   "SHA-256. Give it "
                   "to the client as a file that only he reads (--token-file).",
        .operands = "NAME",
        .examples = "(umask 077; millrace token anna --tokens tokens.json > anna.token)\n"
                    "millrace token rack-7 --scopes replica --tokens tokens.json > rack-7.token\n"
                    "millrace token anna --revoke --tokens tokens.json",
        .rows = rows,
        .max_operands = 1,
    };
    char **operands;
    int n_operands;
    struct error error;
    int code = command_options(&table, argc, argv, &operands, &n_operands);
    if (code >= 0)
        return code;
    const char *name = n_operands ? operands[0] : NULL;
    if (check(&s, name, &error) != STATUS_OK)
        return command_refuse(table.program, &error);
    enum status status = s.revoke ? change_file(s.file, name, NULL, NULL, &error) : give(&s, name, &error);
    if (status == STATUS_INVALID_ARGUMENT)
        return command_refuse(table.program, &error);
    return status == STATUS_OK ? EXIT_CODE_OK : command_fail(table.program, &error);
}
