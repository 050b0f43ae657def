/* Calls of a cluster: which one, one answer, none in time, and Ctrl-C meanwhile. */
#include "cli/cluster/connection.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cluster/ask.h"
#include "cli/terminal/interrupt.h"
#include "common/clock.h"
#include "common/rpc/server.h"
#include "tests/cli/suites.h"

static void answer(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request, (void)context;
    Millrace__V1__Model model = MILLRACE__V1__MODEL__INIT;
    char name[] = "a-model";
    model.name = name;
    rpc_reply(call, &model.base);
}

static void keep_silent(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)call, (void)request, (void)context;
}

static const struct rpc_method methods[] = {
    {"/millrace.v1.Millrace/GetModel", RPC_UNARY, &millrace__v1__get_model_request__descriptor,
     .on_call = answer, .scopes = RPC_SCOPE_GENERATE},
    {"/test/Silent", RPC_UNARY, &millrace__v1__get_model_request__descriptor, .on_call = keep_silent,
     .scopes = RPC_SCOPE_GENERATE},
    {0},
};

static struct rpc_server *server;
static struct connection connection;

static void open_both(void)
{
    const struct rpc_service services[] = {{"test", methods, NULL}, {0}};
    const struct rpc_server_options options = {.address = "127.0.0.1:0", .services = services};
    const struct rpc_security nothing = {0};
    ck_assert_int_eq(rpc_server_open(&options, &server, NULL), STATUS_OK);
    ck_assert_int_eq(connection_open(&connection, rpc_server_address(server), &nothing, NULL), STATUS_OK);
}

static void close_both(void)
{
    connection_close(&connection);
    rpc_server_close(server, 0);
}

static enum status ask_silent(double timeout_s, struct error *error)
{
    ProtobufCMessage *none;
    Millrace__V1__GetModelRequest request = MILLRACE__V1__GET_MODEL_REQUEST__INIT;
    return ask(connection.channel, "/test/Silent", &request.base, &millrace__v1__model__descriptor, timeout_s,
               &none, error);
}

START_TEST(an_answer_comes_back)
{
    Millrace__V1__Model *model;
    open_both();
    ck_assert_int_eq(ask_model(connection.channel, NULL, 30, &model, NULL), STATUS_OK);
    ck_assert_str_eq(model->name, "a-model");
    millrace__v1__model__free_unpacked(model, NULL);
    close_both();
}
END_TEST

START_TEST(none_in_time_is_said)
{
    struct error error;
    open_both();
    double begun = clock_seconds();
    ck_assert_int_eq(ask_silent(0.3, &error), STATUS_DEADLINE_EXCEEDED);
    ck_assert_double_ge(clock_seconds() - begun, 0.25);
    close_both();
}
END_TEST

START_TEST(an_interruption_ends_the_wait)
{
    struct error error;
    Millrace__V1__Model *model;
    interrupt_block();
    open_both();
    raise(SIGINT);
    double begun = clock_seconds();
    ck_assert_int_eq(ask_silent(600, &error), STATUS_CANCELLED);
    ck_assert_double_le(clock_seconds() - begun, 60);
    ck_assert_int_eq(ask_model(connection.channel, NULL, 30, &model, NULL), STATUS_OK); /* it was taken */
    millrace__v1__model__free_unpacked(model, NULL);
    close_both();
}
END_TEST

START_TEST(which_cluster_is_meant)
{
    struct error error;
    struct connection_choice choice = {.endpoint = "127.0.0.1:1", .endpoint_given = true};
    ck_assert(connection_choice_runs(&choice)); /* named: whether it answers or not */
    choice.model_directory_given = true;
    choice.model_directory = "models/x";
    ck_assert(!connection_choice_runs(&choice)); /* named by the environment only */
    ck_assert_int_eq(connection_choice_check(&choice, &error), STATUS_OK);
    choice.endpoint_typed = true;
    ck_assert_int_eq(connection_choice_check(&choice, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.text, "only one of them"));
}
END_TEST

Suite *connection_suite(void)
{
    Suite *suite = suite_create("connection");
    TCase *tests = tcase_create("connection");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, an_answer_comes_back);
    tcase_add_test(tests, none_in_time_is_said);
    tcase_add_test(tests, an_interruption_ends_the_wait);
    tcase_add_test(tests, which_cluster_is_meant);
    suite_add_tcase(suite, tests);
    return suite;
}
