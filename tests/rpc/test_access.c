/* The file of clients, tokens, and who is let in with which scope. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/rpc/access.h"
#include "common/address.h"
#include "common/rpc/client.h"
#include "common/temporary.h"
#include "proto/millrace.pb-c.h"

#define HASH_OF_A "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" /* sha256 of "a" */
#define HASH_OF_B "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d" /* of "b" */

static char path[TEMPORARY_ROOM];
static struct access *access_of_test;
static struct rpc_server *server;

static void write_clients(const char *text)
{
    char other[TEMPORARY_ROOM + 8];
    snprintf(other, sizeof other, "%s.new", path);
    FILE *file = fopen(other, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(other, 0600), 0);
    ck_assert_int_eq(rename(other, path), 0);
}

static void set_up(void)
{
    struct error error;
    ck_assert_int_eq(temporary_file(path, "access", &error), STATUS_OK);
}

static void tear_down(void)
{
    unlink(path);
}

/* ---- the file ---- */

static const struct {
    const char *text, *words;
} bad_files[] = {
    {"", "line 1"},
    {"[]", "one object with one key"},
    {"{\"clients\": {}}", "one object with one key"},
    {"{\"clients\": [], \"more\": 1}", "one object with one key"},
    {"{\"clients\": [7]}", "clients[0]: an object"},
    {"{\"clients\": [{\"name\": \"a b\"}]}", "clients[0].name: a string of 1 to 63"},
    {"{\"clients\": [{\"name\": \"\"}]}", "clients[0].name"},
    {"{\"clients\": [{\"name\": \"a\", \"token\": \"clear\"}]}",
     "clients[0].token: the file holds no tokens"},
    {"{\"clients\": [{\"name\": \"a\", \"token_sha256\": \"12\"}]}", "64 hexadecimal digits"},
    {"{\"clients\": [{\"name\": \"a\", \"color\": \"red\"}]}", "unknown key \"color\""},
    {"{\"clients\": [{\"name\": \"a\", \"name\": \"b\"}]}", "duplicate"},
    {"{\"clients\": [{\"name\": \"a\", \"scopes\": [\"generate\"]}]}", "token_sha256: is missing"},
    {"{\"clients\": [{\"name\": \"a\", \"certificate\": \"a\"}]}", "clients[0].scopes: is missing"},
    {"{\"clients\": [{\"certificate\": \"a\", \"scopes\": [\"admin\"]}]}", "clients[0].name: is missing"},
    {"{\"clients\": [{\"name\": \"a\", \"scopes\": [\"root\"]}]}", "generate, admin or replica"},
    {"{\"clients\": [{\"name\": \"a\", \"scopes\": []}]}", "one or more scopes"},
    {"{\"clients\": [{\"name\": \"a\", \"max_requests\": 0}]}", "max_requests: a whole number from 1"},
    {"{\"clients\": [{\"name\": \"a\", \"max_tokens\": 1.5}]}", "max_tokens: a whole number from 1"},
    {"{\"clients\": [{\"name\": \"a\", \"certificate\": \"\"}]}", "clients[0].certificate"},
    {"{\"clients\": [{\"name\": \"a\", \"certificate\": \"x\", \"scopes\": [\"admin\"]},"
     "{\"name\": \"a\", \"certificate\": \"y\", \"scopes\": [\"admin\"]}]}",
     "clients[1].name: another client"},
    {"{\"clients\": [{\"name\": \"a\", \"certificate\": \"x\", \"scopes\": [\"admin\"]},"
     "{\"name\": \"b\", \"certificate\": \"x\", \"scopes\": [\"admin\"]}]}",
     "clients[1].certificate: another client"},
    {"{\"clients\": [{\"name\": \"a\", \"token_sha256\": \"" HASH_OF_A "\", \"scopes\": [\"admin\"]},"
     "{\"name\": \"b\", \"token_sha256\": \"" HASH_OF_A "\", \"scopes\": [\"admin\"]}]}",
     "clients[1].token_sha256: another client"},
};
enum { N_BAD_FILES = sizeof bad_files / sizeof *bad_files };

START_TEST(a_bad_file_is_refused_and_the_place_named)
{
    struct access_table table;
    struct error error;
    ck_assert_int_eq(access_table_parse(bad_files[_i].text, strlen(bad_files[_i].text), &table, &error),
                     STATUS_INVALID_ARGUMENT);
    ck_assert_msg(strstr(error.text, bad_files[_i].words) != NULL, "%s", error.text);
    ck_assert_ptr_null(strstr(error.text, "clear\"")); /* a token that stands there is not repeated */
}
END_TEST

START_TEST(a_good_file_says_it_all)
{
    static const char text[] =
        "{\"clients\": [{\"name\": \"anna\", \"token_sha256\": \"" HASH_OF_A "\", \"scopes\": [\"generate\", "
        "\"admin\"], \"max_requests\": 8, \"max_tokens\": null}, {\"name\": \"r-1\", \"certificate\": "
        "\"replica.cluster\", \"scopes\": [\"replica\"]}]}";
    struct access_table table;
    ck_assert_int_eq(access_table_parse(text, strlen(text), &table, NULL), STATUS_OK);
    ck_assert_uint_eq(table.n, 2);
    ck_assert_str_eq(table.clients[0].caller.name, "anna");
    ck_assert_uint_eq(table.clients[0].caller.scopes, RPC_SCOPE_GENERATE | RPC_SCOPE_ADMIN);
    ck_assert_int_eq(table.clients[0].caller.max_requests, 8);
    ck_assert_int_eq(table.clients[0].caller.max_tokens, -1);
    ck_assert_int_eq(table.clients[1].caller.max_tokens, 0);
    ck_assert(!table.clients[1].has_token && table.clients[0].has_token);
    ck_assert_str_eq(table.clients[1].certificate, "replica.cluster");
    access_table_release(&table);
}
END_TEST

START_TEST(a_file_that_everybody_writes_is_refused)
{
    struct access_table table;
    struct error error;
    write_clients("{\"clients\": []}");
    ck_assert_int_eq(access_table_read(path, &table, NULL), STATUS_OK);
    access_table_release(&table);
    ck_assert_int_eq(chmod(path, 0666), 0);
    ck_assert_int_eq(access_table_read(path, &table, &error), STATUS_FAILED_PRECONDITION);
    ck_assert_ptr_nonnull(strstr(error.text, "chmod o-w"));
    char missing[sizeof path + 8];
    snprintf(missing, sizeof missing, "%s.none", path);
    ck_assert_int_eq(access_table_read(missing, &table, &error), STATUS_NOT_FOUND);
}
END_TEST

/* ---- tokens ---- */

START_TEST(tokens_are_random_and_their_hash_is_sha256)
{
    char first[TOKEN_SIZE], second[TOKEN_SIZE], text[TOKEN_HASH_TEXT];
    ck_assert_int_eq(token_make(first, NULL), STATUS_OK);
    ck_assert_int_eq(token_make(second, NULL), STATUS_OK);
    ck_assert_str_ne(first, second);
    ck_assert_uint_eq(strlen(first), TOKEN_SIZE - 1);
    ck_assert(!strncmp(first, "millrace_", 9));
    struct token_hash a = token_hash("a", 1), b = token_hash("b", 1), parsed;
    token_hash_format(&a, text);
    ck_assert_str_eq(text, HASH_OF_A);
    ck_assert(token_hash_parse(HASH_OF_A, &parsed) && token_hash_equal(&a, &parsed));
    ck_assert(!token_hash_equal(&a, &b));
    ck_assert(!token_hash_parse(HASH_OF_A "0", &parsed));
    ck_assert(!token_hash_parse("g" HASH_OF_A, &parsed));
}
END_TEST

START_TEST(a_token_file_holds_one_line)
{
    char *token;
    struct error error;
    write_clients("the-token\r\nmore\n");
    ck_assert_int_eq(token_read(path, &token, NULL), STATUS_OK);
    ck_assert_str_eq(token, "the-token");
    token_free(token);
    write_clients("two words\n");
    ck_assert_int_eq(token_read(path, &token, &error), STATUS_FAILED_PRECONDITION);
    ck_assert_ptr_null(strstr(error.text, "words\n"));
    ck_assert_ptr_null(strstr(error.text, "two"));
    write_clients("\n");
    ck_assert_int_eq(token_read(path, &token, &error), STATUS_FAILED_PRECONDITION);
}
END_TEST

/* ---- a server ---- */

static void on_who(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request, (void)context;
    Millrace__V1__DetokenizeResponse answer = MILLRACE__V1__DETOKENIZE_RESPONSE__INIT;
    char *name = (char *)rpc_call_caller(call)->name;
    answer.text = (ProtobufCBinaryData){strlen(name), (uint8_t *)name};
    rpc_reply(call, &answer.base);
}

#define REQUEST &millrace__v1__tokenize_request__descriptor
static const struct rpc_method methods[] = {
    {"/test/Generate", RPC_UNARY, REQUEST, on_who, .scopes = RPC_SCOPE_GENERATE},
    {"/test/Drain", RPC_UNARY, REQUEST, on_who, .scopes = RPC_SCOPE_ADMIN},
    {"/test/Both", RPC_UNARY, REQUEST, on_who, .scopes = RPC_SCOPE_GENERATE | RPC_SCOPE_ADMIN},
    {"/test/Forgotten", RPC_UNARY, REQUEST, on_who},
    {"/test/Open", RPC_UNARY, REQUEST, on_who, .scopes = RPC_SCOPE_ANYBODY},
    {0},
};

static const char clients[] =
    "{\"clients\": [{\"name\": \"anna\", \"token_sha256\": \"" HASH_OF_A "\", \"scopes\": [\"generate\"]},"
    "{\"name\": \"boss\", \"token_sha256\": \"" HASH_OF_B "\", \"scopes\": [\"admin\"]}]}";

static void open_server(void)
{
    const struct access_options access_options = {.file = path};
    const struct rpc_caller own = {.name = "own", .authenticated = true, .scopes = RPC_SCOPE_GENERATE};
    write_clients(clients);
    ck_assert_int_eq(access_open(&access_options, &access_of_test, NULL), STATUS_OK);
    access_add(access_of_test, &own, "from-memory");
    const struct rpc_service services[] = {{"test", methods, NULL}, {0}};
    const struct rpc_server_options options = {
        .address = "127.0.0.1:0", .services = services, .authorizer = access_authorizer(access_of_test)};
    ck_assert_int_eq(rpc_server_open(&options, &server, NULL), STATUS_OK);
}

static void close_server(void)
{
    rpc_server_close(server, 0);
    access_free(access_of_test);
}

static enum status call_with(const struct rpc_channel_options *options, const char *method, char name[64],
                             struct error *error)
{
    struct rpc_channel *channel;
    Millrace__V1__TokenizeRequest request = MILLRACE__V1__TOKENIZE_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    *name = '\0';
    ck_assert_int_eq(rpc_channel_open(rpc_server_address(server), options, &channel, NULL), STATUS_OK);
    enum status status = rpc_unary(channel, method, &request.base,
                                   &millrace__v1__detokenize_response__descriptor, 10, &message, error);
    if (status == STATUS_OK) {
        const Millrace__V1__DetokenizeResponse *response = (const void *)message;
        snprintf(name, 64, "%.*s", (int)response->text.len, (const char *)response->text.data);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    rpc_channel_close(channel);
    return status;
}

static enum status call_as(const char *token, const char *method, char name[64], struct error *error)
{
    const struct rpc_security security = {.token = token};
    const struct rpc_channel_options options = {.security = &security};
    return call_with(&options, method, name, error);
}

static enum status call_with_header(const char *header, const char *method)
{
    char name[64];
    const struct rpc_header headers[] = {{"authorization", header}, {0}};
    const struct rpc_channel_options options = {.headers = headers};
    return call_with(&options, method, name, NULL);
}

START_TEST(a_token_opens_what_its_scopes_say)
{
    char name[64];
    struct error error;
    open_server();
    ck_assert_int_eq(call_as("a", "/test/Generate", name, NULL), STATUS_OK);
    ck_assert_str_eq(name, "anna");
    ck_assert_int_eq(call_as("a", "/test/Drain", name, &error), STATUS_PERMISSION_DENIED);
    ck_assert_str_eq(error.text, "/test/Drain needs the scope admin; anna has generate");
    ck_assert_int_eq(call_as("b", "/test/Drain", name, NULL), STATUS_OK);
    ck_assert_int_eq(call_as("b", "/test/Generate", name, NULL), STATUS_PERMISSION_DENIED);
    ck_assert_int_eq(call_as("a", "/test/Both", name, NULL), STATUS_OK);
    ck_assert_int_eq(call_as("b", "/test/Both", name, NULL), STATUS_OK);
    ck_assert_int_eq(call_as("a", "/test/Forgotten", name, NULL), STATUS_PERMISSION_DENIED);
    ck_assert_int_eq(call_as("b", "/test/Forgotten", name, NULL), STATUS_OK);
    ck_assert_int_eq(call_as("from-memory", "/test/Generate", name, NULL), STATUS_OK);
    ck_assert_str_eq(name, "own");
    close_server();
}
END_TEST

START_TEST(who_shows_nothing_good_is_refused)
{
    char name[64];
    struct error error;
    open_server();
    ck_assert_int_eq(call_as("wrong", "/test/Generate", name, &error), STATUS_UNAUTHENTICATED);
    ck_assert_ptr_null(strstr(error.text, "wrong"));
    ck_assert_int_eq(call_as(NULL, "/test/Generate", name, &error), STATUS_UNAUTHENTICATED);
    ck_assert_int_eq(call_as(NULL, "/test/Nothing", name, &error), STATUS_UNAUTHENTICATED);
    ck_assert_int_eq(call_as("a", "/test/Nothing", name, &error), STATUS_UNIMPLEMENTED);
    ck_assert_int_eq(call_as(NULL, "/test/Open", name, NULL), STATUS_OK);
    ck_assert_str_eq(name, "127.0.0.1");
    ck_assert_int_eq(call_as("wrong", "/test/Open", name, NULL), STATUS_OK);
    static const char *const headers[] = {"a",         "Basic a",   "Bearer",   "Bearer ",
                                          "Bearer  a", "Bearer a ", "Bearer aa"};
    for (unsigned i = 0; i < sizeof headers / sizeof *headers; i++)
        ck_assert_int_eq(call_with_header(headers[i], "/test/Generate"), STATUS_UNAUTHENTICATED);
    ck_assert_int_eq(call_with_header("bearer a", "/test/Generate"), STATUS_OK); /* RFC 7235: any case */
    close_server();
}
END_TEST

START_TEST(two_credentials_are_none)
{
    char name[64];
    const struct rpc_header headers[] = {{"authorization", "Bearer a"}, {"authorization", "Bearer b"}, {0}};
    const struct rpc_channel_options options = {.headers = headers};
    open_server();
    ck_assert_int_eq(call_with(&options, "/test/Both", name, NULL), STATUS_UNAUTHENTICATED);
    close_server();
}
END_TEST

START_TEST(a_new_file_counts_and_a_bad_one_does_not)
{
    char name[64];
    struct error error;
    open_server();
    write_clients("{\"clients\": [{\"name\": \"anna\"}]}");
    ck_assert_int_eq(access_reload(access_of_test, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.text, path));
    ck_assert_int_eq(call_as("a", "/test/Generate", name, NULL), STATUS_OK);
    write_clients("{\"clients\": [{\"name\": \"carl\", \"token_sha256\": \"" HASH_OF_B
                  "\", \"scopes\": [\"generate\"]}]}");
    ck_assert_int_eq(access_reload(access_of_test, &error), STATUS_OK);
    ck_assert_int_eq(call_as("a", "/test/Generate", name, NULL), STATUS_UNAUTHENTICATED);
    ck_assert_int_eq(call_as("b", "/test/Generate", name, NULL), STATUS_OK);
    ck_assert_str_eq(name, "carl");
    ck_assert_int_eq(call_as("from-memory", "/test/Generate", name, NULL), STATUS_OK);
    close_server();
}
END_TEST

START_TEST(local_addresses_are_told_from_others)
{
    static const char *const local[] = {"127.0.0.1:1", "127.9.9.9:1", "localhost:1",
                                        "[::1]:1",     "unix:/run/x", "unix-abstract:x"};
    static const char *const others[] = {"127.0.0.1.example.org:1",
                                         "0.0.0.0:1",
                                         "[::]:1",
                                         "localhost.org:1",
                                         "127.1:1",
                                         "unixhost:1",
                                         "10.0.0.1:1",
                                         "127.0.0.1",
                                         "[::1",
                                         ""};
    for (unsigned i = 0; i < sizeof local / sizeof *local; i++)
        ck_assert_msg(address_is_local(local[i]), "%s", local[i]);
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_msg(!address_is_local(others[i]), "%s", others[i]);
}
END_TEST

START_TEST(a_token_stays_at_home_without_tls)
{
    struct rpc_channel *channel;
    struct error error;
    const struct rpc_security secret = {.token = "a"}, anyway = {.token = "a", .plaintext_token = true};
    const struct rpc_channel_options first = {.security = &secret}, second = {.security = &anyway};
    ck_assert_int_eq(rpc_channel_open("192.0.2.1:7077", &first, &channel, &error),
                     STATUS_FAILED_PRECONDITION);
    ck_assert_ptr_nonnull(strstr(error.text, "--tls-ca"));
    ck_assert_int_eq(rpc_channel_open("127.0.0.1.example.org:7077", &first, &channel, &error),
                     STATUS_FAILED_PRECONDITION);
    ck_assert_int_eq(rpc_channel_open("192.0.2.1:7077", &second, &channel, &error), STATUS_OK);
    rpc_channel_close(channel);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access");
    TCase *cases = tcase_create("access");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, a_bad_file_is_refused_and_the_place_named, 0, N_BAD_FILES);
    tcase_add_test(cases, a_good_file_says_it_all);
    tcase_add_test(cases, a_file_that_everybody_writes_is_refused);
    tcase_add_test(cases, tokens_are_random_and_their_hash_is_sha256);
    tcase_add_test(cases, a_token_file_holds_one_line);
    tcase_add_test(cases, a_token_opens_what_its_scopes_say);
    tcase_add_test(cases, who_shows_nothing_good_is_refused);
    tcase_add_test(cases, two_credentials_are_none);
    tcase_add_test(cases, a_new_file_counts_and_a_bad_one_does_not);
    tcase_add_test(cases, local_addresses_are_told_from_others);
    tcase_add_test(cases, a_token_stays_at_home_without_tls);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
