/*
 * gRPC refuses a batch, or memory ends, at any moment of a few calls: each call ends, with whatever status,
 * nothing hangs, and the next call is answered as if nothing had been.
 *
 * The linker puts __wrap_NAME in the place of NAME for our own objects (CMakeLists.txt).
 */
#include <check.h>
#include <grpc/grpc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/rpc/client.h"
#include "proto/health.pb-c.h"
#include "proto/millrace.pb-c.h"
#include "proto/reflection.pb-c.h"
#include "tests/rpc/service.h"

enum { N_BATCHES_MAX = 40, N_ALLOCATIONS_MAX = 120 };

static atomic_int batches_left, allocations_left; /* the one that makes it 0 fails; 0: none does */
static atomic_int n_failed;

static bool is_the_one(atomic_int *left)
{
    int before = atomic_load(left);
    while (before > 0 && !atomic_compare_exchange_weak(left, &before, before - 1))
        continue;
    if (before == 1)
        atomic_fetch_add(&n_failed, 1);
    return before == 1;
}

#define WRAP(result, name, parameters, arguments, left, failure) \
    result __real_##name parameters;                             \
    result __wrap_##name parameters;                             \
    result __wrap_##name parameters                              \
    {                                                            \
        if (is_the_one(&left))                                   \
            return failure;                                      \
        return __real_##name arguments;                          \
    }

WRAP(grpc_call_error, grpc_call_start_batch,
     (grpc_call * call, const grpc_op *operations, size_t n, void *tag, void *reserved),
     (call, operations, n, tag, reserved), batches_left, GRPC_CALL_ERROR)
WRAP(void *, malloc, (size_t size), (size), allocations_left, NULL)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), allocations_left, NULL)
WRAP(char *, strdup, (const char *text), (text), allocations_left, NULL)
WRAP(char *, strndup, (const char *text, size_t size), (text, size), allocations_left, NULL)

static struct test_service service;

static void free_answer(ProtobufCMessage *message)
{
    protobuf_c_message_free_unpacked(message, NULL);
}

static enum status echo(struct rpc_channel *channel)
{
    char text[] = "text";
    ProtobufCMessage *answer = NULL;
    Millrace__V1__TokenizeRequest request = MILLRACE__V1__TOKENIZE_REQUEST__INIT;
    request.text = text;
    enum status status = rpc_unary(channel, "/test.Test/Echo", &request.base,
                                   &millrace__v1__detokenize_response__descriptor, 60, &answer, NULL);
    if (status == STATUS_OK)
        free_answer(answer);
    return status;
}

/* Two texts there and back, then the end. */
static enum status chat(struct rpc_channel *channel)
{
    char text[] = "text";
    ProtobufCMessage *answer;
    struct rpc_stream *stream;
    Millrace__V1__TokenizeRequest request = MILLRACE__V1__TOKENIZE_REQUEST__INIT;
    request.text = text;
    enum status status = rpc_stream_open(channel, "/test.Test/Chat", NULL,
                                         &millrace__v1__detokenize_response__descriptor, 60, &stream, NULL);
    if (status != STATUS_OK)
        return status;
    rpc_stream_write(stream, &request.base);
    rpc_stream_write(stream, &request.base);
    rpc_stream_close_send(stream);
    while (rpc_stream_read(stream, 60, &answer) == RPC_READ_MESSAGE)
        free_answer(answer);
    status = rpc_stream_status(stream, NULL);
    rpc_stream_close(stream);
    return status;
}

static enum status watch_health(struct rpc_channel *channel)
{
    struct rpc_stream *stream;
    ProtobufCMessage *answer;
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    enum status status =
        rpc_stream_open(channel, "/grpc.health.v1.Health/Watch", &request.base,
                        &grpc__health__v1__health_check_response__descriptor, 60, &stream, NULL);
    if (status != STATUS_OK)
        return status;
    if (rpc_stream_read(stream, 60, &answer) == RPC_READ_MESSAGE)
        free_answer(answer);
    rpc_stream_close(stream);
    return STATUS_OK;
}

static enum status reflect(struct rpc_channel *channel)
{
    char symbol[] = "millrace.v1.Millrace";
    struct rpc_stream *stream;
    ProtobufCMessage *answer;
    Grpc__Reflection__V1alpha__ServerReflectionRequest
        list = GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__INIT,
        file = list;
    list.message_request_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES;
    file.message_request_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL;
    list.list_services = file.file_containing_symbol = symbol;
    enum status status = rpc_stream_open(
        channel, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", NULL,
        &grpc__reflection__v1alpha__server_reflection_response__descriptor, 60, &stream, NULL);
    if (status != STATUS_OK)
        return status;
    rpc_stream_write(stream, &list.base);
    rpc_stream_write(stream, &file.base);
    rpc_stream_close_send(stream);
    while (rpc_stream_read(stream, 60, &answer) == RPC_READ_MESSAGE)
        free_answer(answer);
    status = rpc_stream_status(stream, NULL);
    rpc_stream_close(stream);
    return status;
}

/* All kinds of calls over a connection of their own. How many of them failed. */
static int make_calls(void)
{
    struct rpc_channel *channel = NULL;
    if (rpc_channel_open(rpc_server_address(service.server), NULL, &channel, NULL) != STATUS_OK)
        return 1;
    int n = (echo(channel) != STATUS_OK) + (chat(channel) != STATUS_OK) +
            (watch_health(channel) != STATUS_OK) + (reflect(channel) != STATUS_OK);
    rpc_channel_close(channel);
    return n;
}

/* Whatever failed has cost the calls of that moment only. Returns how many rounds had a failure. */
static int survive(atomic_int *left, int most)
{
    int n_rounds = 0;
    for (int i = 1; i <= most; i++) {
        int before = atomic_load(&n_failed);
        atomic_store(left, i);
        make_calls();
        atomic_store(left, 0);
        n_rounds += atomic_load(&n_failed) > before;
        ck_assert_msg(make_calls() == 0, "after failure %d", i);
    }
    return n_rounds;
}

START_TEST(a_batch_that_grpc_refuses_hangs_nothing)
{
    test_service_open(&service, NULL);
    ck_assert_int_eq(make_calls(), 0);
    ck_assert_int_ge(survive(&batches_left, N_BATCHES_MAX), 20); /* of a round's batches each was refused */
    test_service_close(&service, 10);
}
END_TEST

START_TEST(memory_that_ends_hangs_and_crashes_nothing)
{
    test_service_open(&service, NULL);
    ck_assert_int_ge(survive(&allocations_left, N_ALLOCATIONS_MAX), 30);
    test_service_close(&service, 10);
}
END_TEST

/* Slots for which there was no memory are made up for: after more failures than there are, all calls go on.
 */
START_TEST(a_server_without_memory_for_calls_comes_back)
{
    test_service_open(&service, NULL);
    for (int i = 0; i < 200; i++) {
        struct rpc_channel *channel;
        ck_assert_int_eq(rpc_channel_open(rpc_server_address(service.server), NULL, &channel, NULL),
                         STATUS_OK);
        ck_assert_int_eq(echo(channel), STATUS_OK);
        atomic_store(&allocations_left, 3); /* stream, request's place in the queue, the server's next slot */
        echo(channel);
        atomic_store(&allocations_left, 0);
        rpc_channel_close(channel);
    }
    ck_assert_int_eq(make_calls(), 0);
    test_service_close(&service, 10);
}
END_TEST

START_TEST(a_server_opens_or_says_that_there_is_no_memory)
{
    static const struct rpc_service none[] = {{0}};
    const struct rpc_server_options options = {.address = "127.0.0.1:0", .services = none};
    int n_refused = 0;
    for (int i = 1; i < 90; i++) {
        struct rpc_server *server;
        struct error error;
        atomic_store(&allocations_left, i);
        enum status status = rpc_server_open(&options, &server, &error);
        atomic_store(&allocations_left, 0);
        ck_assert(status == STATUS_OK || status == STATUS_RESOURCE_EXHAUSTED);
        n_refused += status != STATUS_OK;
        if (status == STATUS_OK)
            rpc_server_close(server, 0);
    }
    ck_assert_int_ge(n_refused, 3);
}
END_TEST

int main(void)
{
    alarm(600); /* what would hang fails */
    Suite *suite = suite_create("scarcity");
    TCase *tests = tcase_create("scarcity");
    tcase_add_test(tests, a_batch_that_grpc_refuses_hangs_nothing);
    tcase_add_test(tests, memory_that_ends_hangs_and_crashes_nothing);
    tcase_add_test(tests, a_server_without_memory_for_calls_comes_back);
    tcase_add_test(tests, a_server_opens_or_says_that_there_is_no_memory);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
