/* Server and client of common/rpc in one process, over a port of the loopback. */
#include <check.h>
#include <math.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/address_socket.h"
#include "common/rpc/client.h"
#include "common/rpc/unpack.h"
#include "proto/health.pb-c.h"
#include "proto/millrace.pb-c.h"
#include "proto/reflection.pb-c.h"
#include "tests/rpc/service.h"

static struct test_service service;
static struct rpc_channel *channel;

static void set_up(void)
{
    test_service_open(&service, NULL);
    ck_assert_int_eq(rpc_channel_open(rpc_server_address(service.server), NULL, &channel, NULL), STATUS_OK);
}

static void tear_down(void)
{
    rpc_channel_close(channel);
    test_service_close(&service, 0);
}

/* ---- helpers ---- */

static Millrace__V1__TokenizeRequest request_of(const char *text)
{
    Millrace__V1__TokenizeRequest request = MILLRACE__V1__TOKENIZE_REQUEST__INIT;
    request.text = (char *)text;
    return request;
}

static const ProtobufCMessageDescriptor *const answer_type = &millrace__v1__detokenize_response__descriptor;

static enum status call_unary(const char *path, const char *text, double timeout, ProtobufCMessage **answer,
                              struct error *error)
{
    Millrace__V1__TokenizeRequest request = request_of(text);
    return rpc_unary(channel, path, &request.base, answer_type, timeout, answer, error);
}

static struct rpc_stream *open_stream(const char *path, const char *text, double timeout)
{
    struct rpc_stream *stream;
    Millrace__V1__TokenizeRequest request = request_of(text);
    ck_assert_int_eq(
        rpc_stream_open(channel, path, text ? &request.base : NULL, answer_type, timeout, &stream, NULL),
        STATUS_OK);
    return stream;
}

static void assert_text(ProtobufCMessage *message, const char *text)
{
    const Millrace__V1__DetokenizeResponse *answer = (void *)message;
    ck_assert_uint_eq(answer->text.len, strlen(text));
    ck_assert(!*text || !memcmp(answer->text.data, text, strlen(text)));
    protobuf_c_message_free_unpacked(message, NULL);
}

static void assert_next(struct rpc_stream *stream, const char *text)
{
    ProtobufCMessage *message;
    ck_assert_int_eq(rpc_stream_read(stream, 10, &message), RPC_READ_MESSAGE);
    assert_text(message, text);
}

static void assert_end(struct rpc_stream *stream, enum status expected)
{
    ProtobufCMessage *message;
    struct error error = {0};
    ck_assert_int_eq(rpc_stream_read(stream, 10, &message), RPC_READ_END);
    ck_assert_int_eq(rpc_stream_read(stream, 10, &message), RPC_READ_END); /* and stays so */
    ck_assert_msg(rpc_stream_status(stream, &error) == expected, "%s: %s", status_name(error.status),
                  error.text);
}

/* ---- unary ---- */

START_TEST(unary_answers)
{
    ProtobufCMessage *answer;
    ck_assert_int_eq(call_unary("/test.Test/Echo", "h\xc3\xa9llo", 10, &answer, NULL), STATUS_OK);
    assert_text(answer, "h\xc3\xa9llo");
    ck_assert_int_eq(call_unary("/test.Test/Echo", "", 10, &answer, NULL), STATUS_OK); /* an empty message */
    assert_text(answer, "");
}
END_TEST

START_TEST(a_thousand_calls)
{
    for (int i = 0; i < 1000; i++) {
        char text[16];
        ProtobufCMessage *answer;
        snprintf(text, sizeof text, "%d", i);
        ck_assert_int_eq(call_unary("/test.Test/Echo", text, 10, &answer, NULL), STATUS_OK);
        assert_text(answer, text);
    }
    test_service_wait_closed(&service, 1000);
    ck_assert_int_eq(service.n_calls, 1000);
    ck_assert_int_eq(service.n_cancelled, 0);
}
END_TEST

START_TEST(failure_carries_status_and_text)
{
    struct error error;
    ProtobufCMessage *answer;
    ck_assert_int_eq(call_unary("/test.Test/Fail", "the h\xc3\xa9 is 3, at most 2\n", 10, &answer, &error),
                     STATUS_FAILED_PRECONDITION);
    ck_assert_str_eq(error.text, "the h\xc3\xa9 is 3, at most 2\n");
}
END_TEST

START_TEST(unknown_method_is_unimplemented)
{
    struct error error;
    ProtobufCMessage *answer;
    ck_assert_int_eq(call_unary("/test.Test/Nothing", "", 10, &answer, &error), STATUS_UNIMPLEMENTED);
    ck_assert_ptr_nonnull(strstr(error.text, "/test.Test/Nothing"));
}
END_TEST

START_TEST(deadline_ends_the_call_on_both_sides)
{
    struct error error;
    ProtobufCMessage *answer;
    ck_assert_int_eq(call_unary("/test.Test/Hold", "", 0.2, &answer, &error), STATUS_DEADLINE_EXCEEDED);
    test_service_wait_closed(&service, 1);
    ck_assert_int_eq(service.n_cancelled, 1);
    ck_assert(service.seconds_left > 0 && service.seconds_left < 1);
    ck_assert(!rpc_finish(service.held, STATUS_OK, NULL)); /* too late, and harmless */
    ck_assert_int_eq(test_send_text(service.held, "late"), STATUS_CANCELLED);
}
END_TEST

START_TEST(message_above_the_limit_is_resource_exhausted)
{
    struct error error;
    ProtobufCMessage *answer;
    char *text = malloc((5 << 20) + 1);
    memset(text, 'a', 5 << 20);
    text[5 << 20] = '\0';
    ck_assert_int_eq(call_unary("/test.Test/Echo", text, 10, &answer, &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_int_eq(service.n_calls, 0);
    text[3 << 20] = '\0';
    ck_assert_int_eq(call_unary("/test.Test/Echo", text, 10, &answer, &error), STATUS_OK);
    assert_text(answer, text);
    free(text);
}
END_TEST

/* GetModelRequest has a string as field 1; a FileDescriptor as our bytes has one, too, but here the string is
 * a number. */
START_TEST(bytes_of_another_message_are_invalid)
{
    Grpc__Health__V1__HealthCheckResponse other = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    other.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    struct error error;
    ProtobufCMessage *answer;
    ck_assert_int_eq(rpc_unary(channel, "/test.Test/Echo", &other.base, answer_type, 10, &answer, &error),
                     STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(service.n_calls, 0);
}
END_TEST

START_TEST(nobody_there_is_unavailable)
{
    char target[64];
    snprintf(target, sizeof target, "%s", rpc_server_address(service.server));
    tear_down(); /* now the port is free */
    ck_assert_int_eq(rpc_channel_open(target, NULL, &channel, NULL), STATUS_OK);
    struct error error;
    ProtobufCMessage *answer;
    ck_assert_int_eq(call_unary("/test.Test/Echo", "", 10, &answer, &error), STATUS_UNAVAILABLE);
    ck_assert_uint_gt(strlen(error.text), 0);
    rpc_channel_close(channel);
    set_up();
}
END_TEST

/* ---- streams ---- */

START_TEST(stream_delivers_everything_in_order)
{
    struct rpc_stream *stream = open_stream("/test.Test/Count", "500", 10);
    for (int i = 0; i < 500; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        assert_next(stream, text);
    }
    assert_end(stream, STATUS_OK);
    rpc_stream_close(stream);
    test_service_wait_closed(&service, 1);
    ck_assert_int_eq(service.n_cancelled, 0);
}
END_TEST

START_TEST(status_waits_for_the_end_of_an_unread_stream)
{
    struct rpc_stream *stream = open_stream("/test.Test/Count", "500", 10);
    ck_assert_int_eq(rpc_stream_status(stream, NULL), STATUS_OK);
    rpc_stream_close(stream);
}
END_TEST

START_TEST(read_times_out_and_the_stream_goes_on)
{
    ProtobufCMessage *message;
    struct rpc_stream *stream = open_stream("/test.Test/Held", "", INFINITY);
    struct rpc_call *call = test_service_wait_held(&service);
    ck_assert(isinf(service.seconds_left));
    ck_assert_int_eq(rpc_stream_read(stream, 0.05, &message), RPC_READ_TIMEOUT);
    ck_assert_int_eq(rpc_stream_read(stream, 0, &message), RPC_READ_TIMEOUT);
    ck_assert_int_eq(test_send_text(call, "now"), STATUS_OK);
    assert_next(stream, "now");
    ck_assert(rpc_finish(call, STATUS_ABORTED, "enough"));
    assert_end(stream, STATUS_ABORTED);
    rpc_stream_close(stream);
}
END_TEST

static void post(void *semaphore)
{
    sem_post(semaphore);
}

static void wait_posted(sem_t *semaphore)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    ck_assert_msg(!sem_timedwait(semaphore, &until), "nobody said that there is something to read");
}

START_TEST(notify_says_when_there_is_something_to_read)
{
    sem_t readable;
    ProtobufCMessage *message;
    enum rpc_read read = RPC_READ_TIMEOUT;
    int n = 0;
    struct rpc_stream *stream = open_stream("/test.Test/Count", "200", 10);
    sem_init(&readable, 0, 0);
    rpc_stream_notify(stream, post, &readable);
    while (read != RPC_READ_END) {
        wait_posted(&readable);
        while ((read = rpc_stream_read(stream, 0, &message)) == RPC_READ_MESSAGE) {
            protobuf_c_message_free_unpacked(message, NULL);
            n++;
        }
    }
    ck_assert_int_eq(n, 200);
    while (!sem_trywait(&readable)) {
    }
    rpc_stream_notify(stream, post, &readable); /* the end is there already: it is said at once */
    ck_assert_int_eq(sem_trywait(&readable), 0);
    rpc_stream_close(stream);
    sem_destroy(&readable);
}
END_TEST

static void *cancel_soon(void *argument)
{
    test_service_wait_held(&service);
    rpc_stream_cancel(argument);
    rpc_stream_cancel(argument);
    return NULL;
}

START_TEST(cancel_from_another_thread_wakes_the_reader)
{
    pthread_t thread;
    ProtobufCMessage *message;
    struct rpc_stream *stream = open_stream("/test.Test/Held", "", INFINITY);
    pthread_create(&thread, NULL, cancel_soon, stream);
    ck_assert_int_eq(rpc_stream_read(stream, INFINITY, &message), RPC_READ_END);
    ck_assert_int_eq(rpc_stream_status(stream, NULL), STATUS_CANCELLED);
    pthread_join(thread, NULL);
    rpc_stream_close(stream);
    test_service_wait_closed(&service, 1);
    ck_assert_int_eq(service.n_cancelled, 1);
}
END_TEST

START_TEST(closing_a_running_stream_cancels_it)
{
    struct rpc_stream *stream = open_stream("/test.Test/Held", "", INFINITY);
    test_service_wait_held(&service);
    rpc_stream_close(stream);
    test_service_wait_closed(&service, 1);
    ck_assert_int_eq(service.n_cancelled, 1);
}
END_TEST

START_TEST(slow_reader_is_cut_off)
{
    struct rpc_stream *stream = open_stream("/test.Test/Flood", "", INFINITY);
    pthread_mutex_lock(&service.mutex); /* nobody reads until the server has given up */
    while (!service.n_calls)
        pthread_cond_wait(&service.changed, &service.mutex);
    pthread_mutex_unlock(&service.mutex);
    ck_assert_int_eq(service.flood_status, STATUS_RESOURCE_EXHAUSTED);
    ck_assert_int_eq(rpc_stream_status(stream, NULL), STATUS_RESOURCE_EXHAUSTED);
    rpc_stream_close(stream);
}
END_TEST

/* ---- bidirectional ---- */

START_TEST(chat_echoes_and_ends)
{
    struct rpc_stream *stream = open_stream("/test.Test/Chat", NULL, 30);
    Millrace__V1__TokenizeRequest request = request_of("ping");
    for (int i = 0; i < 200; i++) { /* answers may overtake the completion of our own write */
        ck_assert_int_eq(rpc_stream_write(stream, &request.base), STATUS_OK);
        assert_next(stream, "ping");
    }
    rpc_stream_close_send(stream);
    ck_assert_int_eq(rpc_stream_write(stream, &request.base), STATUS_CANCELLED);
    assert_end(stream, STATUS_OK);
    rpc_stream_close(stream);
}
END_TEST

static void *write_many(void *argument)
{
    Millrace__V1__TokenizeRequest request = request_of("from a thread");
    for (int i = 0; i < 500; i++)
        ck_assert_int_eq(rpc_stream_write(argument, &request.base), STATUS_OK);
    return NULL;
}

START_TEST(writers_and_a_reader_share_a_chat)
{
    pthread_t writers[2];
    struct rpc_stream *stream = open_stream("/test.Test/Chat", NULL, 30);
    for (int i = 0; i < 2; i++)
        pthread_create(&writers[i], NULL, write_many, stream);
    for (int i = 0; i < 1000; i++)
        assert_next(stream, "from a thread");
    for (int i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
    rpc_stream_close_send(stream);
    assert_end(stream, STATUS_OK);
    rpc_stream_close(stream);
}
END_TEST

START_TEST(what_is_queued_goes_out_before_the_clean_end)
{
    struct rpc_stream *stream = open_stream("/test.Test/Chat", NULL, 30);
    write_many(stream);
    rpc_stream_close_send(stream);
    for (int i = 0; i < 500; i++)
        assert_next(stream, "from a thread");
    assert_end(stream, STATUS_OK);
    rpc_stream_close(stream);
}
END_TEST

/* ---- the server's own life ---- */

START_TEST(second_server_on_the_port_is_refused)
{
    static const struct rpc_service none[] = {{0}};
    struct rpc_server *second;
    struct error error;
    struct rpc_server_options options = {.address = rpc_server_address(service.server), .services = none};
    ck_assert_int_eq(rpc_server_open(&options, &second, &error), STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.text, options.address));
    ck_assert_ptr_nonnull(strstr(error.text, "already in use"));
    options.address = "no address";
    ck_assert_int_eq(rpc_server_open(&options, &second, &error), STATUS_INVALID_ARGUMENT);
    options.address = "192.0.2.1:0"; /* not one of ours */
    ck_assert_int_eq(rpc_server_open(&options, &second, &error), STATUS_UNAVAILABLE);
}
END_TEST

START_TEST(unix_address_works)
{
    char address[64];
    struct test_service local;
    struct rpc_channel *other;
    snprintf(address, sizeof address, "unix:/tmp/millrace-test-%d", (int)getpid());
    test_service_open(&local, address);
    ck_assert_str_eq(rpc_server_address(local.server), address);
    ck_assert_int_eq(rpc_channel_open(address, NULL, &other, NULL), STATUS_OK);
    Millrace__V1__TokenizeRequest request = request_of("local");
    ProtobufCMessage *answer;
    ck_assert_int_eq(rpc_unary(other, "/test.Test/Echo", &request.base, answer_type, 10, &answer, NULL),
                     STATUS_OK);
    assert_text(answer, "local");
    rpc_channel_close(other);
    test_service_close(&local, 0);
}
END_TEST

static enum status open_at(const char *address, struct rpc_server **server, struct error *error)
{
    static const struct rpc_service none[] = {{0}};
    const struct rpc_server_options options = {.address = address, .services = none};
    return rpc_server_open(&options, server, error);
}

/* gRPC would take the path from the first, who would not know it. What a server that was killed has left is
 * in nobody's way. */
START_TEST(a_unix_path_has_one_server)
{
    char address[64];
    struct rpc_server *first, *second;
    struct error error;
    snprintf(address, sizeof address, "unix:/tmp/millrace-one-%d", (int)getpid());
    ck_assert_int_eq(open_at(address, &first, &error), STATUS_OK);
    ck_assert_int_eq(open_at(address, &second, &error), STATUS_UNAVAILABLE);
    ck_assert_msg(strstr(error.text, address) && strstr(error.text, "another program listens there"), "%s",
                  error.text);
    ck_assert_int_eq(access(address + 5, F_OK), 0);
    rpc_server_close(first, 0);
    struct address left;
    struct socket_address resolved;
    int reason;
    ck_assert_int_eq(address_parse(address, ADDRESS_TO_LISTEN, &left, NULL), STATUS_OK);
    ck_assert_int_eq(address_resolve(&left, &resolved, NULL), STATUS_OK);
    close(address_listen(&resolved, 1, &reason)); /* nobody accepts, and the path stays */
    ck_assert_int_eq(open_at(address, &second, &error), STATUS_OK);
    rpc_server_close(second, 0);
}
END_TEST

static void assert_unavailable(const char *address, const char *why)
{
    struct rpc_server *server;
    struct error error;
    ck_assert_int_eq(open_at(address, &server, &error), STATUS_UNAVAILABLE);
    ck_assert_msg(strstr(error.text, why), "%s: no \"%s\"", error.text, why);
}

START_TEST(why_a_unix_address_cannot_be_had)
{
    char address[64];
    struct rpc_server *server;
    assert_unavailable("unix:/no/such/directory/socket", "No such file or directory");
    snprintf(address, sizeof address, "unix:/tmp/millrace-file-%d", (int)getpid());
    fclose(fopen(address + 5, "w"));
    assert_unavailable(address, "a file that is no socket has this name");
    unlink(address + 5);
    snprintf(address, sizeof address, "unix-abstract:millrace-name-%d", (int)getpid());
    ck_assert_int_eq(open_at(address, &server, NULL), STATUS_OK);
    assert_unavailable(address, "another program has this name");
    rpc_server_close(server, 0);
}
END_TEST

static void *close_in_ten_seconds(void *argument)
{
    rpc_server_close(argument, 10);
    return NULL;
}

/* Calls until the server refuses; gRPC cancels the one that was on its way just then. */
static void wait_until_refused(void)
{
    ProtobufCMessage *answer;
    struct error error;
    while (call_unary("/test.Test/Echo", "", 10, &answer, &error) == STATUS_OK)
        protobuf_c_message_free_unpacked(answer, NULL);
    ck_assert_msg(error.status == STATUS_UNAVAILABLE || error.status == STATUS_CANCELLED, "%s: %s",
                  status_name(error.status), error.text);
}

START_TEST(drain_lets_a_running_stream_finish)
{
    pthread_t closer;
    struct rpc_stream *stream = open_stream("/test.Test/Held", "", INFINITY);
    struct rpc_call *call = test_service_wait_held(&service);
    pthread_create(&closer, NULL, close_in_ten_seconds, service.server);
    wait_until_refused();
    ck_assert_int_eq(test_send_text(call, "still here"), STATUS_OK);
    assert_next(stream, "still here");
    rpc_finish(call, STATUS_OK, NULL);
    assert_end(stream, STATUS_OK);
    pthread_join(closer, NULL);
    service.server = NULL;
    rpc_stream_close(stream);
}
END_TEST

START_TEST(drain_cancels_what_outlasts_the_grace)
{
    struct rpc_stream *stream = open_stream("/test.Test/Held", "", INFINITY);
    test_service_wait_held(&service);
    rpc_server_close(service.server, 0.1);
    service.server = NULL;
    ck_assert_int_eq(service.n_closed, 1); /* close has waited for it */
    ck_assert_int_eq(service.n_cancelled, 1);
    ck_assert_int_eq(rpc_stream_status(stream, NULL), STATUS_UNAVAILABLE);
    ck_assert_int_eq(test_send_text(service.held, "late"), STATUS_CANCELLED);
    rpc_stream_close(stream);
}
END_TEST

static void *send_for_ever(void *argument)
{
    while (test_send_text(argument, "more") == STATUS_OK)
        ;
    return NULL;
}

/* The trap: a thread that sends while the server closes must never reach a queue that is gone. */
START_TEST(close_under_fire)
{
    pthread_t sender;
    struct rpc_stream *stream = open_stream("/test.Test/Held", "", INFINITY);
    struct rpc_call *call = test_service_wait_held(&service);
    pthread_create(&sender, NULL, send_for_ever, call);
    rpc_server_close(service.server, 0);
    service.server = NULL;
    pthread_join(sender, NULL);
    rpc_stream_close(stream);
}
END_TEST

/* ---- health and reflection ---- */

static Grpc__Health__V1__HealthCheckResponse__ServingStatus take_status(ProtobufCMessage *message)
{
    int status = (int)((Grpc__Health__V1__HealthCheckResponse *)message)->status;
    protobuf_c_message_free_unpacked(message, NULL);
    return status;
}

START_TEST(health_check_and_watch)
{
    enum { SERVING = 1, NOT_SERVING = 2 };
    const ProtobufCMessageDescriptor *type = &grpc__health__v1__health_check_response__descriptor;
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    ProtobufCMessage *answer;
    struct rpc_stream *watch;
    rpc_stream_open(channel, "/grpc.health.v1.Health/Watch", &request.base, type, 10, &watch, NULL);
    ck_assert_int_eq(rpc_stream_read(watch, 10, &answer), RPC_READ_MESSAGE);
    ck_assert_int_eq(take_status(answer), NOT_SERVING);
    health_set(service.health, true);
    ck_assert_int_eq(rpc_stream_read(watch, 10, &answer), RPC_READ_MESSAGE);
    ck_assert_int_eq(take_status(answer), SERVING);
    request.service = (char *)"millrace.v1.Millrace";
    ck_assert_int_eq(
        rpc_unary(channel, "/grpc.health.v1.Health/Check", &request.base, type, 10, &answer, NULL),
        STATUS_OK);
    ck_assert_int_eq(take_status(answer), SERVING);
    request.service = (char *)"nobody";
    ck_assert_int_eq(
        rpc_unary(channel, "/grpc.health.v1.Health/Check", &request.base, type, 10, &answer, NULL),
        STATUS_NOT_FOUND);
    rpc_stream_close(watch);
}
END_TEST

/* ---- hostile bytes ---- */

/* Random bytes, and random changes of a packed message, as any message type: unpack must neither crash nor
 * leak. */
START_TEST(unpacking_random_bytes_is_safe)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &millrace__v1__generate_request__descriptor, &millrace__v1__generate_event__descriptor,
        &grpc__reflection__v1alpha__server_reflection_request__descriptor};
    unsigned state = 1;
    int n_good = 0;
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[64];
        size_t size = (size_t)(i % (int)sizeof bytes);
        for (size_t j = 0; j < size; j++) {
            state = state * 1664525u + 1013904223u;
            bytes[j] = (uint8_t)(j % 3 ? state >> 24 : (state >> 24) & 0x3A); /* likely tags */
        }
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            ProtobufCMessage *message = NULL;
            n_good += unpack_message(types[t], bytes, size, &message, NULL) == STATUS_OK;
            unpack_free(message);
        }
    }
    ck_assert_int_gt(n_good, 1000); /* or they were too wild to test anything */
}
END_TEST

static void assert_refused(const void *bytes, size_t size, enum status expected, const char *words)
{
    ProtobufCMessage *message = NULL;
    struct error error = {0};
    ck_assert_int_eq(
        unpack_message(&millrace__v1__generate_request__descriptor, bytes, size, &message, &error), expected);
    ck_assert_msg(strstr(error.text, words) != NULL, "%s", error.text);
}

START_TEST(strings_are_utf8_without_a_nul)
{
    assert_refused("\x12\x03"
                   "a\0b",
                   5, STATUS_INVALID_ARGUMENT, "prompt: byte 1 is a NUL");
    assert_refused("\x12\x02"
                   "a\xff",
                   4, STATUS_INVALID_ARGUMENT, "prompt: byte 1 is not UTF-8");
    assert_refused("\x12\x02\xc0\x80", 4, STATUS_INVALID_ARGUMENT, "prompt: byte 0 is not UTF-8");
    assert_refused("\x0a\x03\xed\xa0\x80", 5, STATUS_INVALID_ARGUMENT, "model: byte 0 is not UTF-8");
    assert_refused("\x1a\x06\x0a\x04\x0a\x02"
                   "a",
                   8, STATUS_INVALID_ARGUMENT, "text: byte 1 is a NUL"); /* nested */
    ProtobufCMessage *message;
    ck_assert_int_eq(unpack_message(&millrace__v1__generate_request__descriptor, "\x12\x03\xe2\x82\xac", 5,
                                    &message, NULL),
                     STATUS_OK);
    ck_assert_str_eq(((Millrace__V1__GenerateRequest *)message)->prompt, "\xe2\x82\xac");
    unpack_free(message);
}
END_TEST

/* A message of nothing but empty segments, two bytes each, would take fifty times its size. */
START_TEST(many_parts_in_few_bytes_are_bounded)
{
    enum { N = 1 << 20 };
    uint8_t *bytes = malloc(2 * N + 5);
    size_t size = 2 * N;
    memcpy(bytes, (uint8_t[]){0x1a, size & 0x7f, 0, 0, 0}, 5);
    for (int i = 0; i < 4; i++) /* the length as a varint of four bytes */
        bytes[1 + i] = (uint8_t)((size >> 7 * i & 0x7f) | (i < 3 ? 0x80 : 0));
    for (size_t i = 0; i < N; i++)
        memcpy(bytes + 5 + 2 * i, (uint8_t[]){0x0a, 0}, 2);
    assert_refused(bytes, size + 5, STATUS_RESOURCE_EXHAUSTED, "too many parts");
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rpc");
    TCase *calls = tcase_create("calls");
    tcase_add_checked_fixture(calls, set_up, tear_down);
    tcase_add_test(calls, unary_answers);
    tcase_add_test(calls, a_thousand_calls);
    tcase_add_test(calls, failure_carries_status_and_text);
    tcase_add_test(calls, unknown_method_is_unimplemented);
    tcase_add_test(calls, deadline_ends_the_call_on_both_sides);
    tcase_add_test(calls, message_above_the_limit_is_resource_exhausted);
    tcase_add_test(calls, bytes_of_another_message_are_invalid);
    tcase_add_test(calls, nobody_there_is_unavailable);
    tcase_add_test(calls, stream_delivers_everything_in_order);
    tcase_add_test(calls, status_waits_for_the_end_of_an_unread_stream);
    tcase_add_test(calls, read_times_out_and_the_stream_goes_on);
    tcase_add_test(calls, notify_says_when_there_is_something_to_read);
    tcase_add_test(calls, cancel_from_another_thread_wakes_the_reader);
    tcase_add_test(calls, closing_a_running_stream_cancels_it);
    tcase_add_test(calls, slow_reader_is_cut_off);
    tcase_add_test(calls, chat_echoes_and_ends);
    tcase_add_test(calls, writers_and_a_reader_share_a_chat);
    tcase_add_test(calls, what_is_queued_goes_out_before_the_clean_end);
    tcase_add_test(calls, second_server_on_the_port_is_refused);
    tcase_add_test(calls, unix_address_works);
    tcase_add_test(calls, a_unix_path_has_one_server);
    tcase_add_test(calls, why_a_unix_address_cannot_be_had);
    tcase_add_test(calls, drain_lets_a_running_stream_finish);
    tcase_add_test(calls, drain_cancels_what_outlasts_the_grace);
    tcase_add_test(calls, close_under_fire);
    tcase_add_test(calls, health_check_and_watch);
    tcase_add_test(calls, unpacking_random_bytes_is_safe);
    tcase_add_test(calls, strings_are_utf8_without_a_nul);
    tcase_add_test(calls, many_parts_in_few_bytes_are_bounded);
    suite_add_tcase(suite, calls);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
