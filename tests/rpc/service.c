#include "tests/rpc/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/descriptors.h"
#include "proto/millrace.pb-c.h"

/* Callbacks run on the server's thread, and the program of server_main.c has no Check at all. */
static void require_at(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "required: %s\n", what);
    abort();
}
#define require(condition) require_at(condition, #condition)

static const char *text_of(const ProtobufCMessage *message)
{
    return ((const Millrace__V1__TokenizeRequest *)message)->text;
}

static Millrace__V1__DetokenizeResponse answer_of(const void *bytes, size_t size)
{
    Millrace__V1__DetokenizeResponse answer = MILLRACE__V1__DETOKENIZE_RESPONSE__INIT;
    answer.text = (ProtobufCBinaryData){size, (uint8_t *)bytes};
    return answer;
}

enum status test_send_text(struct rpc_call *call, const char *text)
{
    Millrace__V1__DetokenizeResponse answer = answer_of(text, strlen(text));
    return rpc_send(call, &answer.base);
}

static void count_call(struct test_service *service)
{
    pthread_mutex_lock(&service->mutex);
    service->n_calls++;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->mutex);
}

static void on_close(struct rpc_call *call, bool cancelled, void *context)
{
    (void)call;
    struct test_service *service = context;
    pthread_mutex_lock(&service->mutex);
    service->n_closed++;
    service->n_cancelled += cancelled;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->mutex);
}

static void on_echo(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    count_call(context);
    Millrace__V1__DetokenizeResponse answer = answer_of(text_of(request), strlen(text_of(request)));
    rpc_reply(call, &answer.base);
}

static void on_fail(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    count_call(context);
    struct error error;
    error_set(&error, STATUS_FAILED_PRECONDITION, "%s", text_of(request));
    rpc_fail(call, &error);
    require(!rpc_finish(call, STATUS_OK, NULL)); /* the first counts */
    require(test_send_text(call, "late") == STATUS_CANCELLED);
}

static void on_busy(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    count_call(context);
    struct error error;
    error_set(&error, STATUS_RESOURCE_EXHAUSTED, "full; try again");
    error.retry_after_ms = atoi(text_of(request));
    rpc_set_header(call, "x-echo", rpc_call_header(call, "x-echo") ? rpc_call_header(call, "x-echo") : "");
    rpc_fail(call, &error);
}

static void on_hold(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request;
    struct test_service *service = context;
    pthread_mutex_lock(&service->mutex);
    rpc_call_unref(service->held);
    service->held = rpc_call_ref(call);
    service->seconds_left = rpc_call_seconds_left(call);
    pthread_mutex_unlock(&service->mutex);
    count_call(service);
}

static void on_count(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    count_call(context);
    int n = atoi(text_of(request));
    for (int i = 0; i < n; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        require(test_send_text(call, number) == STATUS_OK);
    }
    rpc_finish(call, STATUS_OK, NULL);
}

static void on_flood(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request;
    struct test_service *service = context;
    static char megabyte[1 << 20];
    Millrace__V1__DetokenizeResponse answer = answer_of(megabyte, sizeof megabyte);
    enum status status;
    while ((status = rpc_send(call, &answer.base)) == STATUS_OK)
        ;
    service->flood_status = status;
    count_call(service);
}

static void on_chat(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)call;
    require(!request);
    count_call(context);
}

static void on_chat_message(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    (void)context;
    if (message)
        test_send_text(call, text_of(message));
    else
        rpc_finish(call, STATUS_OK, NULL);
}

#define REQUEST &millrace__v1__tokenize_request__descriptor
static const struct rpc_method methods[] = {
    {"/test.Test/Echo", RPC_UNARY, REQUEST, on_echo, NULL, on_close},
    {"/test.Test/Fail", RPC_UNARY, REQUEST, on_fail, NULL, on_close},
    {"/test.Test/Busy", RPC_UNARY, REQUEST, on_busy, NULL, on_close},
    {"/test.Test/Hold", RPC_UNARY, REQUEST, on_hold, NULL, on_close},
    {"/test.Test/Count", RPC_SERVER_STREAM, REQUEST, on_count, NULL, on_close},
    {"/test.Test/Flood", RPC_SERVER_STREAM, REQUEST, on_flood, NULL, on_close},
    {"/test.Test/Held", RPC_SERVER_STREAM, REQUEST, on_hold, NULL, on_close},
    {"/test.Test/Chat", RPC_BIDI, REQUEST, on_chat, on_chat_message, on_close},
    {0},
};
static const char *const names[] = {"millrace.v1.Millrace", "grpc.health.v1.Health",
                                    "grpc.reflection.v1alpha.ServerReflection",
                                    "grpc.reflection.v1.ServerReflection", NULL};

void test_service_open(struct test_service *service, const char *address)
{
    struct error error;
    memset(service, 0, sizeof *service);
    pthread_mutex_init(&service->mutex, NULL);
    pthread_cond_init(&service->changed, NULL);
    service->health = health_create(names);
    require(reflection_create(proto_descriptors, proto_descriptors_size, names, &service->reflection,
                              &error) == STATUS_OK);
    const struct rpc_service services[] = {{"test.Test", methods, service},
                                           health_service(service->health),
                                           reflection_service(service->reflection),
                                           {0}};
    struct rpc_server_options options = {.address = address ? address : "127.0.0.1:0",
                                         .services = services,

                                         .max_calls = TEST_MAX_CALLS,
                                         .max_caller_calls = TEST_MAX_CALLER_CALLS,
                                         .request_seconds = TEST_REQUEST_SECONDS,
                                         .stall_seconds = TEST_STALL_SECONDS};
    require(rpc_server_open(&options, &service->server, &error) == STATUS_OK);
}

void test_service_close(struct test_service *service, double grace_seconds)
{
    rpc_server_close(service->server, grace_seconds);
    health_free(service->health);
    reflection_free(service->reflection);
    rpc_call_unref(service->held);
    pthread_mutex_destroy(&service->mutex);
    pthread_cond_destroy(&service->changed);
}

struct rpc_call *test_service_wait_held(struct test_service *service)
{
    pthread_mutex_lock(&service->mutex);
    while (!service->held)
        pthread_cond_wait(&service->changed, &service->mutex);
    struct rpc_call *call = service->held;
    pthread_mutex_unlock(&service->mutex);
    return call;
}

void test_service_wait_closed(struct test_service *service, int n)
{
    pthread_mutex_lock(&service->mutex);
    while (service->n_closed < n)
        pthread_cond_wait(&service->changed, &service->mutex);
    pthread_mutex_unlock(&service->mutex);
}
