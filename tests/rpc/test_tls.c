/* TLS between server and client of common/rpc: who is let in, who is believed, and what is said of what is
 * wrong. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "common/rpc/tls_files.h"
#include "common/temporary.h"
#include "proto/millrace.pb-c.h"

enum { PATH_ROOM = TEMPORARY_ROOM + 64 };

static char directory[TEMPORARY_ROOM];
static struct rpc_server *server;

/* ---- files ---- */

/* Valid for the whole test. */
static char *path_of(const char *name)
{
    static char paths[32][PATH_ROOM];
    char wanted[PATH_ROOM];
    snprintf(wanted, sizeof wanted, "%s/%s", directory, name);
    for (int i = 0; i < 32; i++) {
        if (*paths[i] && strcmp(paths[i], wanted) != 0)
            continue;
        return strcpy(paths[i], wanted);
    }
    ck_abort_msg("too many names");
    return NULL;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* Replaces as a tool would that renews certificates: written beside, then renamed. */
static void replace_file(const char *from, const char *to)
{
    char command[4 * PATH_ROOM + 32];
    snprintf(command, sizeof command, "cp %s %s.new && mv %s.new %s", path_of(from), path_of(to), path_of(to),
             path_of(to));
    ck_assert_int_eq(system(command), 0);
}

static void make_certificates(void)
{
    char command[TEMPORARY_ROOM + 4096];
    struct error error;
    ck_assert_int_eq(temporary_directory(directory, "tls", &error), STATUS_OK);
    snprintf(command, sizeof command, "%s/tests/rpc/certificates.sh %s", getenv("MILLRACE_SOURCE"),
             directory);
    ck_assert_int_eq(system(command), 0);
}

static void remove_certificates(void)
{
    char command[TEMPORARY_ROOM + 8];
    snprintf(command, sizeof command, "rm -r %s", directory);
    ck_assert_int_eq(system(command), 0);
}

/* ---- the service: answers with what the server knows of the connection ---- */

static void on_who(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request, (void)context;
    char text[256];
    size_t n = (size_t)snprintf(text, sizeof text, "tls=%d", rpc_call_is_tls(call));
    const char *name;
    for (int i = 0; (name = rpc_call_tls_name(call, i)); i++)
        n += (size_t)snprintf(text + n, sizeof text - n, " %s", name);
    Millrace__V1__DetokenizeResponse answer = MILLRACE__V1__DETOKENIZE_RESPONSE__INIT;
    answer.text = (ProtobufCBinaryData){n, (uint8_t *)text};
    rpc_reply(call, &answer.base);
}

/* Sends until it may no more. */
static void on_flood(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request, (void)context;
    static char half_a_megabyte[1 << 19];
    Millrace__V1__DetokenizeResponse answer = MILLRACE__V1__DETOKENIZE_RESPONSE__INIT;
    answer.text = (ProtobufCBinaryData){sizeof half_a_megabyte, (uint8_t *)half_a_megabyte};
    while (rpc_send(call, &answer.base) == STATUS_OK)
        ;
}

static const struct rpc_method methods[] = {
    {"/test.Tls/Flood", RPC_SERVER_STREAM, &millrace__v1__tokenize_request__descriptor, on_flood, NULL, NULL},
    {"/test.Tls/Who", RPC_UNARY, &millrace__v1__tokenize_request__descriptor, on_who, NULL, NULL},
    {0},
};

static enum status open_server(const struct rpc_server_tls *tls, struct error *error)
{
    const struct rpc_service services[] = {{"test.Tls", methods, NULL}, {0}};
    const struct rpc_server_options options = {.address = "127.0.0.1:0", .services = services, .tls = tls};
    return rpc_server_open(&options, &server, error);
}

static enum status who(struct rpc_channel *channel, char answer[256], struct error *error)
{
    Millrace__V1__TokenizeRequest request = MILLRACE__V1__TOKENIZE_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    enum status status = rpc_unary(channel, "/test.Tls/Who", &request.base,
                                   &millrace__v1__detokenize_response__descriptor, 10, &message, error);
    if (status == STATUS_OK) {
        const Millrace__V1__DetokenizeResponse *response = (const void *)message;
        snprintf(answer, 256, "%.*s", (int)response->text.len, (const char *)response->text.data);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    return status;
}

/* One call on a channel of its own. */
static enum status call_with(const struct rpc_security *security, char answer[256], struct error *error)
{
    struct rpc_channel *channel;
    const struct rpc_channel_options options = {.security = security};
    *answer = '\0';
    enum status status = rpc_channel_open(rpc_server_address(server), &options, &channel, error);
    if (status != STATUS_OK)
        return status;
    status = who(channel, answer, error);
    rpc_channel_close(channel);
    return status;
}

static void assert_answered(const struct rpc_security *security, char answer[256])
{
    struct error error = {0};
    ck_assert_msg(call_with(security, answer, &error) == STATUS_OK, "%s", error.text);
}

static void assert_refused(const struct rpc_security *security, const char *words)
{
    char answer[256];
    struct error error;
    ck_assert_int_eq(call_with(security, answer, &error), STATUS_UNAVAILABLE);
    ck_assert_msg(strstr(error.text, words) != NULL, "\"%s\" without \"%s\"", error.text, words);
}

/* ---- tests ---- */

START_TEST(a_client_that_trusts_the_authority_gets_through)
{
    char answer[256];
    const struct rpc_server_tls tls = {.cert = path_of("server.pem"), .key = path_of("server.key")};
    const struct rpc_security security = {.tls_ca = path_of("ca.pem")};
    ck_assert_int_eq(open_server(&tls, NULL), STATUS_OK);
    assert_answered(&security, answer);
    ck_assert_str_eq(answer, "tls=1");
    rpc_server_close(server, 0);
}
END_TEST

START_TEST(what_is_wrong_between_client_and_server_is_said)
{
    const struct rpc_server_tls tls = {.cert = path_of("server.pem"), .key = path_of("server.key")};
    const struct rpc_server_tls elsewhere = {.cert = path_of("elsewhere.pem"),
                                             .key = path_of("elsewhere.key")};
    const struct rpc_security trusting = {.tls_ca = path_of("ca.pem")}, plain = {0},
                              strange = {.tls_ca = path_of("other-ca.pem")};
    ck_assert_int_eq(open_server(&tls, NULL), STATUS_OK);
    assert_refused(&strange, "unable to get local issuer certificate");
    assert_refused(&plain, "--tls-ca");
    rpc_server_close(server, 0);
    ck_assert_int_eq(open_server(&elsewhere, NULL), STATUS_OK);
    assert_refused(&trusting, "elsewhere");
    rpc_server_close(server, 0);
    ck_assert_int_eq(open_server(NULL, NULL), STATUS_OK);
    assert_refused(&trusting, "does not speak TLS");
    rpc_server_close(server, 0);
}
END_TEST

START_TEST(mutual_tls_lets_in_whom_the_authority_signed)
{
    char answer[256];
    const struct rpc_server_tls tls = {
        .cert = path_of("server.pem"), .key = path_of("server.key"), .client_ca = path_of("ca.pem")};
    const struct rpc_security anna = {.tls_ca = path_of("ca.pem"),
                                      .tls_cert = path_of("anna.pem"),
                                      .tls_key = path_of("anna.key")},
                              nobody = {.tls_ca = path_of("ca.pem")},
                              stranger = {.tls_ca = path_of("ca.pem"),
                                          .tls_cert = path_of("stranger.pem"),
                                          .tls_key = path_of("stranger.key")};
    ck_assert_int_eq(open_server(&tls, NULL), STATUS_OK);
    ck_assert_int_eq(call_with(&anna, answer, NULL), STATUS_OK);
    ck_assert_str_eq(answer, "tls=1 anna anna.clients");
    assert_refused(&nobody, "certificate");
    assert_refused(&stranger, "certificate");
    rpc_server_close(server, 0);
}
END_TEST

START_TEST(a_certificate_may_be_optional)
{
    char answer[256];
    const struct rpc_server_tls tls = {.cert = path_of("server.pem"),
                                       .key = path_of("server.key"),
                                       .client_ca = path_of("ca.pem"),
                                       .client_optional = true};
    const struct rpc_security replica = {.tls_ca = path_of("ca.pem"),
                                         .tls_cert = path_of("replica.pem"),
                                         .tls_key = path_of("replica.key")},
                              nobody = {.tls_ca = path_of("ca.pem")},
                              stranger = {.tls_ca = path_of("ca.pem"),
                                          .tls_cert = path_of("stranger.pem"),
                                          .tls_key = path_of("stranger.key")};
    ck_assert_int_eq(open_server(&tls, NULL), STATUS_OK);
    ck_assert_int_eq(call_with(&replica, answer, NULL), STATUS_OK);
    ck_assert_str_eq(answer, "tls=1 replica replica-7.cluster");
    ck_assert_int_eq(call_with(&nobody, answer, NULL), STATUS_OK);
    ck_assert_str_eq(answer, "tls=1");
    assert_refused(&stranger, "certificate");
    rpc_server_close(server, 0);
}
END_TEST

/* What TLS has buffered must not make a slow reader cost more, nor others wait. */
START_TEST(slow_readers_are_cut_off_and_hold_nobody_up)
{
    enum { N_SLOW = 8 };
    char answer[256];
    Millrace__V1__TokenizeRequest request = MILLRACE__V1__TOKENIZE_REQUEST__INIT;
    const struct rpc_server_tls tls = {.cert = path_of("server.pem"), .key = path_of("server.key")};
    const struct rpc_security security = {.tls_ca = path_of("ca.pem")};
    const struct rpc_channel_options options = {.security = &security};
    struct rpc_channel *channels[N_SLOW];
    struct rpc_stream *streams[N_SLOW];
    ck_assert_int_eq(open_server(&tls, NULL), STATUS_OK);
    for (int i = 0; i < N_SLOW; i++) {
        ck_assert_int_eq(rpc_channel_open(rpc_server_address(server), &options, &channels[i], NULL),
                         STATUS_OK);
        ck_assert_int_eq(rpc_stream_open(channels[i], "/test.Tls/Flood", &request.base,
                                         &millrace__v1__detokenize_response__descriptor, INFINITY,
                                         &streams[i], NULL),
                         STATUS_OK);
    }
    assert_answered(&security, answer);
    for (int i = 0; i < N_SLOW; i++) {
        struct error error = {0};
        ck_assert_int_eq(rpc_stream_status(streams[i], &error), STATUS_RESOURCE_EXHAUSTED);
        ck_assert_str_eq(error.text, "the client reads too slowly: too many messages wait for it");
        rpc_stream_close(streams[i]);
        rpc_channel_close(channels[i]);
    }
    rpc_server_close(server, 0);
}
END_TEST

START_TEST(the_expected_name_can_be_told)
{
    char answer[256];
    const struct rpc_server_tls tls = {.cert = path_of("elsewhere.pem"), .key = path_of("elsewhere.key")};
    const struct rpc_security security = {.tls_ca = path_of("ca.pem"), .tls_server_name = "elsewhere.test"};
    ck_assert_int_eq(open_server(&tls, NULL), STATUS_OK);
    assert_answered(&security, answer);
    rpc_server_close(server, 0);
}
END_TEST

/* New connections see the new certificate, a stream that runs is not disturbed, a bad file changes nothing.
 */
START_TEST(the_servers_certificate_is_replaced_while_it_runs)
{
    char answer[256];
    struct error error;
    struct rpc_channel *old;
    const struct rpc_server_tls tls = {.cert = path_of("live.pem"), .key = path_of("live.key")};
    const struct rpc_security security = {.tls_ca = path_of("ca.pem")},
                              second = {.tls_ca = path_of("ca.pem"), .tls_server_name = "second.test"};
    const struct rpc_channel_options options = {.security = &security};
    replace_file("server.pem", "live.pem");
    replace_file("server.key", "live.key");
    ck_assert_int_eq(open_server(&tls, NULL), STATUS_OK);
    ck_assert_int_eq(rpc_channel_open(rpc_server_address(server), &options, &old, NULL), STATUS_OK);
    ck_assert_int_eq(who(old, answer, NULL), STATUS_OK);
    assert_refused(&second, "second.test");
    replace_file("second.pem", "live.pem"); /* and the key not yet */
    ck_assert_int_eq(rpc_server_reload_tls(server, &error), STATUS_FAILED_PRECONDITION);
    ck_assert_ptr_nonnull(strstr(error.text, "is not the key of"));
    assert_answered(&security, answer);
    replace_file("second.key", "live.key");
    ck_assert_int_eq(rpc_server_reload_tls(server, &error), STATUS_OK);
    assert_answered(&second, answer);
    ck_assert_int_eq(who(old, answer, NULL), STATUS_OK);
    rpc_channel_close(old);
    rpc_server_close(server, 0);
}
END_TEST

START_TEST(the_clients_files_are_replaced_while_it_runs)
{
    char answer[256];
    struct rpc_channel *channel;
    const struct rpc_server_tls tls = {
        .cert = path_of("server.pem"), .key = path_of("server.key"), .client_ca = path_of("ca.pem")};
    const struct rpc_security security = {
        .tls_ca = path_of("ca.pem"), .tls_cert = path_of("mine.pem"), .tls_key = path_of("mine.key")};
    const struct rpc_channel_options options = {.security = &security};
    replace_file("anna.pem", "mine.pem");
    replace_file("anna.key", "mine.key");
    ck_assert_int_eq(open_server(&tls, NULL), STATUS_OK);
    ck_assert_int_eq(rpc_channel_open(rpc_server_address(server), &options, &channel, NULL), STATUS_OK);
    ck_assert_int_eq(who(channel, answer, NULL), STATUS_OK);
    ck_assert_str_eq(answer, "tls=1 anna anna.clients");
    replace_file("replica.pem", "mine.pem"); /* half of it: the old stays */
    ck_assert_int_eq(who(channel, answer, NULL), STATUS_OK);
    ck_assert_str_eq(answer, "tls=1 anna anna.clients");
    replace_file("replica.key", "mine.key");
    ck_assert_int_eq(who(channel, answer, NULL), STATUS_OK);
    ck_assert_str_eq(answer, "tls=1 replica replica-7.cluster");
    rpc_channel_close(channel);
    rpc_server_close(server, 0);
}
END_TEST

static const struct {
    const char *cert, *key, *ca;
    enum status status;
    const char *words;
} bad_files[] = {
    {"none.pem", "server.key", NULL, STATUS_NOT_FOUND, "none.pem: No such file"},
    {"server.pem", "none.key", NULL, STATUS_NOT_FOUND, "none.key: No such file"},
    {"server.pem", NULL, NULL, STATUS_INVALID_ARGUMENT, "--tls-key is missing"},
    {NULL, "server.key", NULL, STATUS_INVALID_ARGUMENT, "--tls-cert is missing"},
    {NULL, NULL, "ca.pem", STATUS_INVALID_ARGUMENT, "--tls-cert and --tls-key"},
    {"server.pem", "second.key", NULL, STATUS_FAILED_PRECONDITION, "is not the key of the certificate in"},
    {"expired.pem", "expired.key", NULL, STATUS_FAILED_PRECONDITION,
     "expired.pem: the certificate has expired on 20"},
    {"server.pem", "locked.key", NULL, STATUS_FAILED_PRECONDITION, "locked.key: the key has a pass phrase"},
    {"server.key", "server.key", NULL, STATUS_FAILED_PRECONDITION, "server.key: there is no certificate"},
    {"server.pem", "server.pem", NULL, STATUS_FAILED_PRECONDITION, "server.pem: there is no private key"},
    {"empty", "server.key", NULL, STATUS_FAILED_PRECONDITION, "empty: there is no certificate"},
    {"server.pem", "server.key", "empty", STATUS_FAILED_PRECONDITION, "empty: there is no certificate"},
    {"server.pem", "server.key", "none.pem", STATUS_NOT_FOUND, "none.pem: No such file"},
    {".", "server.key", NULL, STATUS_INVALID_ARGUMENT, "a directory, not a file"},
};
enum { N_BAD_FILES = sizeof bad_files / sizeof *bad_files };

START_TEST(what_is_wrong_with_files_is_said)
{
    struct error error;
    const struct rpc_server_tls tls = {
        .cert = bad_files[_i].cert ? path_of(bad_files[_i].cert) : NULL,
        .key = bad_files[_i].key ? path_of(bad_files[_i].key) : NULL,
        .client_ca = bad_files[_i].ca ? path_of(bad_files[_i].ca) : NULL,
    };
    write_file("empty", "");
    ck_assert_int_eq(open_server(&tls, &error), bad_files[_i].status);
    ck_assert_msg(strstr(error.text, bad_files[_i].words) != NULL, "%s", error.text);
    ck_assert_ptr_null(strstr(error.text, "PRIVATE"));
}
END_TEST

START_TEST(a_client_names_its_bad_files_too)
{
    struct rpc_channel *channel;
    struct error error;
    const struct rpc_security expired = {.tls_ca = path_of("ca.pem"),
                                         .tls_cert = path_of("expired.pem"),
                                         .tls_key = path_of("expired.key")},
                              none = {.tls_ca = path_of("none.pem")};
    const struct rpc_channel_options first = {.security = &expired}, second = {.security = &none};
    ck_assert_int_eq(rpc_channel_open("127.0.0.1:1", &first, &channel, &error), STATUS_FAILED_PRECONDITION);
    ck_assert_int_eq(rpc_channel_open("127.0.0.1:1", &second, &channel, &error), STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.text, "none.pem"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tls");
    TCase *cases = tcase_create("tls");
    tcase_add_unchecked_fixture(cases, make_certificates, remove_certificates);
    tcase_add_test(cases, a_client_that_trusts_the_authority_gets_through);
    tcase_add_test(cases, what_is_wrong_between_client_and_server_is_said);
    tcase_add_test(cases, mutual_tls_lets_in_whom_the_authority_signed);
    tcase_add_test(cases, a_certificate_may_be_optional);
    tcase_add_test(cases, slow_readers_are_cut_off_and_hold_nobody_up);
    tcase_add_test(cases, the_expected_name_can_be_told);
    tcase_add_test(cases, the_servers_certificate_is_replaced_while_it_runs);
    tcase_add_test(cases, the_clients_files_are_replaced_while_it_runs);
    tcase_add_loop_test(cases, what_is_wrong_with_files_is_said, 0, N_BAD_FILES);
    tcase_add_test(cases, a_client_names_its_bad_files_too);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
