/* What comes and goes beside the messages: headers, trailers, hints to try again, and who calls. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "proto/millrace.pb-c.h"

static struct rpc_server *server;
static int n_handled, n_refused; /* on the server's thread; read after a call has ended */

/* ---- the service: TokenizeRequest {text} in, DetokenizeResponse {text} out ---- */

static void reply(struct rpc_call *call, const char *text)
{
    Millrace__V1__DetokenizeResponse answer = MILLRACE__V1__DETOKENIZE_RESPONSE__INIT;
    answer.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    rpc_reply(call, &answer.base);
}

static void reply_part(struct rpc_call *call, const char *text)
{
    Millrace__V1__DetokenizeResponse answer = MILLRACE__V1__DETOKENIZE_RESPONSE__INIT;
    answer.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    rpc_send(call, &answer.base);
}

static const char *or_none(const char *text)
{
    return text ? text : "none";
}

/* Answers with what is known of the caller. */
static void on_who(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request, (void)context;
    char text[512];
    const struct rpc_caller *caller = rpc_call_caller(call);
    n_handled++;
    snprintf(text, sizeof text, "%s %d %u tls=%d %s x=%s n=%d none=%s", caller->name, caller->authenticated,
             caller->scopes, rpc_call_is_tls(call), or_none(rpc_call_tls_name(call, 0)),
             or_none(rpc_call_header(call, "x-test")), rpc_call_n_headers(call, "x-test"),
             or_none(rpc_call_header(call, "x-absent")));
    reply(call, text);
}

/* Echoes the bytes of a binary header, in hexadecimal. */
static void on_bytes(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request, (void)context;
    size_t size = 0;
    char text[64] = "";
    const char *bytes = rpc_call_header_bytes(call, "x-test-bin", &size);
    for (size_t i = 0; bytes && i < size && i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned char)bytes[i]);
    reply(call, text);
}

static void on_busy(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)context;
    struct error error;
    error_set(&error, STATUS_RESOURCE_EXHAUSTED, "full: 3 of 3");
    error.retry_after_ms = atoi(((const Millrace__V1__TokenizeRequest *)request)->text);
    ck_assert(rpc_set_header(call, "x-head", "here"));
    ck_assert(rpc_set_trailer(call, "x-tail", "there"));
    ck_assert(!rpc_set_trailer(call, "X-Upper", "no"));
    ck_assert(!rpc_set_trailer(call, "x-tail", "line\nbreak"));
    rpc_fail(call, &error);
    ck_assert(!rpc_set_header(call, "x-head", "too late"));
    ck_assert(!rpc_set_trailer(call, "x-tail", "too late"));
}

/* Stays open until its client goes. */
static void on_held(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request, (void)context;
    n_handled++;
    reply_part(call, "held");
}

#define REQUEST &millrace__v1__tokenize_request__descriptor
static const struct rpc_method methods[] = {
    {"/test.Identity/Who", RPC_UNARY, REQUEST, on_who, .scopes = RPC_SCOPE_GENERATE},
    {"/test.Identity/Bytes", RPC_UNARY, REQUEST, on_bytes},
    {"/test.Identity/Busy", RPC_UNARY, REQUEST, on_busy},
    {"/test.Identity/Text", RPC_SERVER_STREAM, REQUEST, on_held, .scopes = RPC_SCOPE_GENERATE},
    {"/test.Identity/Line", RPC_SERVER_STREAM, REQUEST, on_held, .scopes = RPC_SCOPE_REPLICA},
    {0},
};

/* "x-key: NAME" is a caller of that name, "all" one with every scope; "nobody" and no key at all are refused.
 */
static enum status authorize(const struct rpc_call *call, const char *path, struct rpc_caller *caller,
                             void *context, struct error *error)
{
    (void)context;
    const char *key = rpc_call_header(call, "x-key");
    if (!key)
        return error_set(error, STATUS_UNAUTHENTICATED, "who is it that calls %s?", path);
    if (!strcmp(key, "nobody"))
        return error_set(error, STATUS_PERMISSION_DENIED, "%s may not", key);
    snprintf(caller->name, sizeof caller->name, "%s", key);
    caller->authenticated = true;
    caller->scopes = strcmp(key, "all") ? RPC_SCOPE_GENERATE : RPC_SCOPES_ALL;
    return STATUS_OK;
}

static void count_refused(const char *path, void *context)
{
    (void)context;
    n_refused += *path == '/';
}

/* ---- helpers ---- */

static void open_server(const char *address, struct rpc_authorizer authorizer)
{
    const struct rpc_service services[] = {{"test.Identity", methods, NULL}, {0}};
    const struct rpc_server_options options = {.address = address,
                                               .services = services,
                                               .authorizer = authorizer,
                                               .refusals = {count_refused, NULL},
                                               .max_caller_calls = 2};
    n_handled = n_refused = 0;
    ck_assert_int_eq(rpc_server_open(&options, &server, NULL), STATUS_OK);
}

/* One call on a channel of its own; the answer's text, or "". */
static enum status call_with(const struct rpc_header *headers, const char *path, const char *text,
                             char answer[512], struct error *error)
{
    struct rpc_channel *channel;
    const struct rpc_channel_options options = {.headers = headers};
    ck_assert_int_eq(rpc_channel_open(rpc_server_address(server), &options, &channel, NULL), STATUS_OK);
    Millrace__V1__TokenizeRequest request = MILLRACE__V1__TOKENIZE_REQUEST__INIT;
    request.text = (char *)text;
    ProtobufCMessage *message = NULL;
    enum status status = rpc_unary(channel, path, &request.base,
                                   &millrace__v1__detokenize_response__descriptor, 10, &message, error);
    *answer = '\0';
    if (status == STATUS_OK) {
        const Millrace__V1__DetokenizeResponse *response = (const void *)message;
        snprintf(answer, 512, "%.*s", (int)response->text.len, (const char *)response->text.data);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    rpc_channel_close(channel);
    return status;
}

static const struct rpc_authorizer nobody_asks = {0}, by_key = {authorize, NULL};

/* ---- tests ---- */

START_TEST(without_an_authorizer_the_address_is_the_name)
{
    char answer[512];
    const struct rpc_header headers[] = {{"x-test", "first"}, {"x-test", "second"}, {0}};
    open_server("127.0.0.1:0", nobody_asks);
    ck_assert_int_eq(call_with(headers, "/test.Identity/Who", "", answer, NULL), STATUS_OK);
    ck_assert_str_eq(answer, "127.0.0.1 0 7 tls=0 none x=first n=2 none=none");
    rpc_server_close(server, 0);
}
END_TEST

START_TEST(ipv6_and_unix_names)
{
    char answer[512], address[64];
    open_server("[::1]:0", nobody_asks);
    ck_assert_int_eq(call_with(NULL, "/test.Identity/Who", "", answer, NULL), STATUS_OK);
    ck_assert_msg(!strncmp(answer, "[::1] 0 ", 8), "%s", answer);
    rpc_server_close(server, 0);
    snprintf(address, sizeof address, "unix:/tmp/millrace-identity-%d", (int)getpid());
    open_server(address, nobody_asks);
    ck_assert_int_eq(call_with(NULL, "/test.Identity/Who", "", answer, NULL), STATUS_OK);
    ck_assert_msg(!strncmp(answer, "unix 0 ", 7), "%s", answer);
    rpc_server_close(server, 0);
}
END_TEST

START_TEST(the_authorizer_decides)
{
    char answer[512];
    struct error error;
    const struct rpc_header anna[] = {{"x-key", "anna"}, {0}}, nobody[] = {{"x-key", "nobody"}, {0}};
    open_server("127.0.0.1:0", by_key);
    ck_assert_int_eq(call_with(NULL, "/test.Identity/Who", "", answer, &error), STATUS_UNAUTHENTICATED);
    ck_assert_str_eq(error.text, "who is it that calls /test.Identity/Who?");
    ck_assert_int_eq(call_with(nobody, "/test.Identity/Who", "", answer, &error), STATUS_PERMISSION_DENIED);
    ck_assert_int_eq(n_handled, 0);
    ck_assert_int_eq(call_with(NULL, "/no/Path", "", answer, &error), STATUS_UNAUTHENTICATED);
    ck_assert_int_eq(call_with(anna, "/no/Path", "", answer, &error), STATUS_UNIMPLEMENTED);
    ck_assert_int_eq(call_with(anna, "/test.Identity/Who", "", answer, &error), STATUS_OK);
    ck_assert_str_eq(answer, "anna 1 1 tls=0 none x=none n=0 none=none");
    ck_assert_int_eq(n_refused, 3);
    ck_assert_int_eq(call_with(anna, "/test.Identity/Line", "", answer, &error), STATUS_PERMISSION_DENIED);
    ck_assert_int_eq(n_refused, 4); /* for its scope */
    rpc_server_close(server, 0);
}
END_TEST

/* A stream that has begun, or the status with which it was refused. */
static enum status hold(struct rpc_channel *channel, const char *path, struct rpc_stream **stream)
{
    Millrace__V1__TokenizeRequest request = MILLRACE__V1__TOKENIZE_REQUEST__INIT;
    ProtobufCMessage *message;
    ck_assert_int_eq(rpc_stream_open(channel, path, &request.base,
                                     &millrace__v1__detokenize_response__descriptor, 20, stream, NULL),
                     STATUS_OK);
    if (rpc_stream_read(*stream, 10, &message) != RPC_READ_MESSAGE)
        return rpc_stream_status(*stream, NULL);
    protobuf_c_message_free_unpacked(message, NULL);
    return STATUS_OK;
}

/* As with certificates and no file of tokens: everybody has every scope, the replica's too. */
START_TEST(every_scope_does_not_lift_the_limit)
{
    enum { N_LINES = 4, LIMIT = 2 };
    struct rpc_channel *channel;
    struct rpc_stream *lines[N_LINES], *texts[LIMIT + 1];
    const struct rpc_header headers[] = {{"x-key", "all"}, {0}};
    const struct rpc_channel_options options = {.headers = headers};
    open_server("127.0.0.1:0", by_key);
    ck_assert_int_eq(rpc_channel_open(rpc_server_address(server), &options, &channel, NULL), STATUS_OK);
    for (int i = 0; i < N_LINES; i++)
        ck_assert_int_eq(hold(channel, "/test.Identity/Line", &lines[i]), STATUS_OK);
    for (int i = 0; i <= LIMIT; i++)
        ck_assert_int_eq(hold(channel, "/test.Identity/Text", &texts[i]),
                         i < LIMIT ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED);
    for (int i = 0; i < N_LINES; i++)
        rpc_stream_close(lines[i]);
    for (int i = 0; i <= LIMIT; i++)
        rpc_stream_close(texts[i]);
    rpc_channel_close(channel);
    rpc_server_close(server, 0);
}
END_TEST

START_TEST(binary_headers_come_decoded)
{
    char answer[512];
    const struct rpc_header headers[] = {{"x-test-bin", "\x01\xff\x80"}, {0}};
    open_server("127.0.0.1:0", nobody_asks);
    ck_assert_int_eq(call_with(headers, "/test.Identity/Bytes", "", answer, NULL), STATUS_OK);
    ck_assert_str_eq(answer, "01ff80");
    rpc_server_close(server, 0);
}
END_TEST

START_TEST(a_header_that_cannot_be_sent_is_refused)
{
    struct rpc_channel *channel;
    struct error error;
    const struct rpc_header upper[] = {{"X-Key", "a"}, {0}}, broken[] = {{"x-key", "secret\n"}, {0}};
    const struct rpc_channel_options first = {.headers = upper}, second = {.headers = broken};
    ck_assert_int_eq(rpc_channel_open("127.0.0.1:1", &first, &channel, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(rpc_channel_open("127.0.0.1:1", &second, &channel, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_null(strstr(error.text, "secret"));
}
END_TEST

START_TEST(a_hint_to_try_again_arrives)
{
    static const int delays_ms[] = {1, 250, 1500, 3600000};
    char answer[512], text[16];
    struct error error;
    open_server("127.0.0.1:0", nobody_asks);
    for (unsigned i = 0; i < sizeof delays_ms / sizeof *delays_ms; i++) {
        snprintf(text, sizeof text, "%d", delays_ms[i]);
        ck_assert_int_eq(call_with(NULL, "/test.Identity/Busy", text, answer, &error),
                         STATUS_RESOURCE_EXHAUSTED);
        ck_assert_str_eq(error.text, "full: 3 of 3");
        ck_assert_int_eq(error.retry_after_ms, delays_ms[i]);
    }
    ck_assert_int_eq(call_with(NULL, "/test.Identity/Busy", "0", answer, &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_int_eq(error.retry_after_ms, 0);
    rpc_server_close(server, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("identity");
    TCase *calls = tcase_create("calls");
    tcase_add_test(calls, without_an_authorizer_the_address_is_the_name);
    tcase_add_test(calls, ipv6_and_unix_names);
    tcase_add_test(calls, the_authorizer_decides);
    tcase_add_test(calls, every_scope_does_not_lift_the_limit);
    tcase_add_test(calls, binary_headers_come_decoded);
    tcase_add_test(calls, a_header_that_cannot_be_sent_is_refused);
    tcase_add_test(calls, a_hint_to_try_again_arrives);
    suite_add_tcase(suite, calls);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
