#ifndef MILLRACE_TESTS_RPC_SERVICE_H
#define MILLRACE_TESTS_RPC_SERVICE_H

#include <pthread.h>
#include <stdbool.h>

#include "common/rpc/health.h"
#include "common/rpc/reflection.h"
#include "common/rpc/server.h"

enum { TEST_MAX_CALLS = 300, TEST_MAX_CALLER_CALLS = 200, TEST_REQUEST_SECONDS = 2, TEST_STALL_SECONDS = 2 };

/*
 * A service to test the wrapper with. Requests are TokenizeRequest {text}, answers DetokenizeResponse {text}.
 *
 *   Echo  unary          the same text
 *   Fail  unary          FAILED_PRECONDITION, the text as its sentence
 *   Busy  unary          RESOURCE_EXHAUSTED, the text as the milliseconds to wait; x-echo comes back
 *   Hold  unary          answers only when test_service_answer_held is called
 *   Count server stream  "N": the texts "0" ... "N-1"
 *   Flood server stream  messages of 1 MiB until the server cuts the reader off
 *   Held  server stream  sends what the test tells it to (test_service_send_held)
 *   Chat  bidi           every text comes back; ends when the client has closed its side
 */
struct test_service {
    struct rpc_server *server;
    struct health *health;
    struct reflection *reflection;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct rpc_call *held; /* the last Hold or Held call, referenced */
    int n_calls, n_closed, n_cancelled;
    enum status flood_status; /* what rpc_send said in the end */
    double seconds_left;      /* of the last Hold */
};

/* Starts it on 127.0.0.1:0 (or `address`). */
void test_service_open(struct test_service *service, const char *address);
void test_service_close(struct test_service *service, double grace_seconds);

/* Wait for a call that is held, or until n calls have had their on_close. */
struct rpc_call *test_service_wait_held(struct test_service *service);
void test_service_wait_closed(struct test_service *service, int n);

enum status test_send_text(struct rpc_call *call, const char *text);

#endif
