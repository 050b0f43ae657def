/* A leader's connection, against a coordinator that writes down what it is told and says what the test wants.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/rpc/server.h"
#include "proto/replica.pb-c.h"
#include "worker/engine/attach.h"
#include "worker/engine/last_words.h"
#include "worker/engine/submission.h"

typedef Millrace__Replica__V1__FromReplica from_replica;
typedef Millrace__Replica__V1__ToReplica to_replica;

enum { MAX_HEARD = 64 };

/* The coordinator. */
static struct {
    struct rpc_server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct rpc_call *call; /* the connection that there is; a reference */
    int n_lines, n_ended;
    bool ended_cleanly; /* the last connection that ended */
    int n_heard;
    from_replica *heard[MAX_HEARD]; /* but for pulses */
    int n_pulses;
} coordinator;

static struct meters meters;
static struct mailbox *mailbox;
static struct attach *attach;

static void on_call(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request, (void)context;
    pthread_mutex_lock(&coordinator.lock);
    rpc_call_unref(coordinator.call);
    coordinator.call = rpc_call_ref(call);
    coordinator.n_lines++;
    pthread_cond_broadcast(&coordinator.changed);
    pthread_mutex_unlock(&coordinator.lock);
}

static from_replica *copy(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(size + 1);
    protobuf_c_message_pack(message, packed);
    from_replica *copied = millrace__replica__v1__from_replica__unpack(NULL, size, packed);
    free(packed);
    return copied;
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    (void)context;
    if (!message) {
        rpc_finish(call, STATUS_OK, NULL);
        return;
    }
    pthread_mutex_lock(&coordinator.lock);
    if (((const from_replica *)message)->kind_case == MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_PULSE)
        coordinator.n_pulses++;
    else
        coordinator.heard[coordinator.n_heard++] = copy(message);
    pthread_cond_broadcast(&coordinator.changed);
    pthread_mutex_unlock(&coordinator.lock);
}

static void on_close(struct rpc_call *call, bool cancelled, void *context)
{
    (void)call, (void)context;
    pthread_mutex_lock(&coordinator.lock);
    coordinator.n_ended++;
    coordinator.ended_cleanly = !cancelled;
    pthread_cond_broadcast(&coordinator.changed);
    pthread_mutex_unlock(&coordinator.lock);
}

static const struct rpc_method methods[] = {
    {"/millrace.replica.v1.Replicas/Attach", RPC_BIDI, &millrace__replica__v1__from_replica__descriptor,
     on_call, on_message, on_close, RPC_SCOPE_ANYBODY},
    {0},
};

static const struct rpc_service services[] = {{"millrace.replica.v1.Replicas", methods, NULL}, {0}};

/* Waits until *counter is n; only a defect lets the limit pass. */
static void wait_for(const int *counter, int n)
{
    const struct timespec limit = clock_after(20);
    int waited = 0;
    pthread_mutex_lock(&coordinator.lock);
    while (*counter < n && !waited)
        waited = pthread_cond_timedwait(&coordinator.changed, &coordinator.lock, &limit);
    int reached = *counter;
    pthread_mutex_unlock(&coordinator.lock);
    ck_assert_int_ge(reached, n);
}

/* What was heard as the i-th, pulses left out. */
static const from_replica *heard(int i)
{
    wait_for(&coordinator.n_heard, i + 1);
    return coordinator.heard[i];
}

static void say(Millrace__Replica__V1__ToReplica__KindCase kind, void *content)
{
    to_replica message = MILLRACE__REPLICA__V1__TO_REPLICA__INIT;
    message.kind_case = kind;
    message.welcome = content; /* a union of pointers */
    ck_assert_int_eq(rpc_send(coordinator.call, &message.base), STATUS_OK);
}

static void set_up(void)
{
    const struct rpc_server_options options = {.address = "127.0.0.1:0", .services = services};
    memset(&coordinator, 0, sizeof coordinator);
    pthread_mutex_init(&coordinator.lock, NULL);
    clock_condition_init(&coordinator.changed);
    ck_assert_int_eq(rpc_server_open(&options, &coordinator.server, NULL), STATUS_OK);
    mailbox = mailbox_create();
    const struct attach_options attach_options = {.coordinator = rpc_server_address(coordinator.server),
                                                  .replica = "r7",
                                                  .launch = "a secret",
                                                  .fingerprint = "0123456789abcdef",
                                                  .backend = "cpu f32",
                                                  .n_ranks = 2,
                                                  .meters = &meters};
    ck_assert_int_eq(attach_start(&attach_options, mailbox, &attach, NULL), STATUS_OK);
}

static void tear_down(void)
{
    attach_end(attach, NULL);
    attach = NULL;
    rpc_call_unref(coordinator.call);
    rpc_server_close(coordinator.server, 0);
    for (int i = 0; i < coordinator.n_heard; i++)
        millrace__replica__v1__from_replica__free_unpacked(coordinator.heard[i], NULL);
    pthread_cond_destroy(&coordinator.changed);
    pthread_mutex_destroy(&coordinator.lock);
    mailbox_free(mailbox, submission_free);
}

static void end(const struct error *why)
{
    attach_end(attach, why);
    attach = NULL;
}

/* The next mail, which must be of that kind. */
static struct mail take(enum mail_kind kind)
{
    struct mail mail;
    ck_assert(mailbox_take(mailbox, 20, &mail));
    ck_assert_int_eq(mail.kind, kind);
    return mail;
}

static struct mail submitted(uint64_t number)
{
    Millrace__Replica__V1__Submit submit = MILLRACE__REPLICA__V1__SUBMIT__INIT;
    submit.sequence = number;
    say(MILLRACE__REPLICA__V1__TO_REPLICA__KIND_SUBMIT, &submit);
    struct mail mail = take(MAIL_SUBMIT);
    ck_assert_uint_eq(mail.number, number);
    submission_free(mail.submission);
    return mail;
}

static void report(uint64_t number, uint32_t connection, uint32_t step)
{
    struct engine_sink sink = attach_sink(attach);
    const struct sequence_report made = {.number = number, .connection = connection, .step = step};
    sink.report(sink.context, &made, 0.25);
}

START_TEST(it_says_what_it_is_and_then_that_it_is_ready)
{
    const from_replica *hello = heard(0);
    ck_assert_int_eq(hello->kind_case, MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_HELLO);
    ck_assert_str_eq(hello->hello->replica, "r7");
    ck_assert_str_eq(hello->hello->model_fingerprint, "0123456789abcdef");
    ck_assert_str_eq(hello->hello->backend, "cpu f32");
    ck_assert_uint_eq(hello->hello->ranks, 2);
    wait_for(&coordinator.n_pulses, 2); /* while it loads */
    attach_ready(attach, (struct plan_limits){.max_sequences = 3, .max_rows = 100}, true, 1.5);
    const from_replica *ready = heard(1);
    ck_assert_int_eq(ready->kind_case, MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_READY);
    ck_assert_uint_eq(ready->ready->max_sequences, 3);
    ck_assert_uint_eq(ready->ready->max_batch_tokens, 100);
    ck_assert_uint_eq(ready->ready->held_sequences, 3);
    ck_assert_uint_eq(ready->ready->run_ahead_steps, 1);
    end(NULL);
    wait_for(&coordinator.n_ended, 1);
    ck_assert(coordinator.ended_cleanly);
    ck_assert_int_eq(coordinator.n_heard, 2); /* nothing failed */
}
END_TEST

START_TEST(what_it_is_told_is_mail)
{
    heard(0);
    struct mail mail = submitted(9);
    ck_assert_uint_eq(mail.connection, 1);
    Millrace__Replica__V1__Cancel cancel = MILLRACE__REPLICA__V1__CANCEL__INIT;
    cancel.sequence = 9;
    say(MILLRACE__REPLICA__V1__TO_REPLICA__KIND_CANCEL, &cancel);
    ck_assert_uint_eq(take(MAIL_CANCEL).number, 9);
    Millrace__Replica__V1__Drain drain = MILLRACE__REPLICA__V1__DRAIN__INIT;
    say(MILLRACE__REPLICA__V1__TO_REPLICA__KIND_DRAIN, &drain);
    take(MAIL_DRAIN);
}
END_TEST

/* A connection that broke takes what came by it along: a report of it would be another coordinator's. */
START_TEST(a_new_line_hears_nothing_of_the_old_ones)
{
    attach_ready(attach, (struct plan_limits){.max_sequences = 1, .max_rows = 10}, false, 0);
    heard(1);
    struct mail old = submitted(1);
    rpc_finish(coordinator.call, STATUS_UNAVAILABLE, "away");
    take(MAIL_CANCEL_ALL);
    wait_for(&coordinator.n_lines, 2);
    ck_assert_int_eq(heard(2)->kind_case, MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_HELLO);
    ck_assert_int_eq(heard(3)->kind_case, MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_READY);
    struct mail fresh = submitted(1); /* the same number */
    ck_assert_uint_ne(fresh.connection, old.connection);
    report(1, old.connection, 5);
    report(1, fresh.connection, 6);
    const from_replica *told = heard(4);
    ck_assert_int_eq(told->kind_case, MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_REPORT);
    ck_assert_uint_eq(told->report->step, 6);
    ck_assert_double_eq(told->report->step_ms, 250);
}
END_TEST

static void check_failed(const from_replica *message, uint32_t rank, const char *reason)
{
    ck_assert_int_eq(message->kind_case, MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_FAILED);
    ck_assert_uint_eq(message->failed->rank, rank);
    ck_assert_uint_eq(message->failed->status, STATUS_INTERNAL);
    ck_assert_str_eq(message->failed->reason, reason);
}

START_TEST(its_end_carries_why)
{
    struct error why;
    error_set(&why, STATUS_INTERNAL, "rank 1 of 2: no memory for a weight");
    heard(0);
    end(&why);
    check_failed(heard(1), 1, "rank 1 of 2: no memory for a weight");
    wait_for(&coordinator.n_ended, 1);
    ck_assert(coordinator.ended_cleanly);
}
END_TEST

/* Also when it fails in the moment in which there is no connection. */
START_TEST(why_waits_for_a_line)
{
    struct error why;
    error_set(&why, STATUS_INTERNAL, "an illegal address");
    heard(0);
    rpc_finish(coordinator.call, STATUS_UNAVAILABLE, "away");
    take(MAIL_CANCEL_ALL);
    end(&why);
    ck_assert_int_eq(heard(1)->kind_case, MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_HELLO);
    check_failed(heard(2), 0, "an illegal address");
}
END_TEST

START_TEST(another_rank_speaks_for_itself)
{
    struct error why;
    error_set(&why, STATUS_INTERNAL, "rank 1 of 2: an illegal address");
    heard(0);
    const struct last_words words = {.coordinator = rpc_server_address(coordinator.server),
                                     .replica = "r7",
                                     .launch = "a secret",
                                     .rank = 1,
                                     .why = &why};
    last_words_say(&words, 20);
    check_failed(heard(1), 1, why.text);
    ck_assert_str_eq(heard(1)->failed->replica, "r7");
    ck_assert_str_eq(heard(0)->hello->launch, "a secret");
    ck_assert_str_eq(heard(1)->failed->launch, "a secret");
    wait_for(&coordinator.n_ended, 1);
}
END_TEST

START_TEST(nobody_hears_it_where_nobody_listens)
{
    struct error why;
    error_set(&why, STATUS_INTERNAL, "an illegal address");
    const struct last_words words = {
        .coordinator = "unix:/nowhere/millrace", .replica = "r7", .rank = 1, .why = &why};
    double start = clock_seconds();
    last_words_say(&words, 1);
    ck_assert_double_lt(clock_seconds() - start, 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attach");
    TCase *tests = tcase_create("attach");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, it_says_what_it_is_and_then_that_it_is_ready);
    tcase_add_test(tests, what_it_is_told_is_mail);
    tcase_add_test(tests, a_new_line_hears_nothing_of_the_old_ones);
    tcase_add_test(tests, its_end_carries_why);
    tcase_add_test(tests, why_waits_for_a_line);
    tcase_add_test(tests, another_rank_speaks_for_itself);
    tcase_add_test(tests, nobody_hears_it_where_nobody_listens);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
