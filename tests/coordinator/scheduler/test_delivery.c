/* How events reach sinks (delivery.h): in order, one thread at a time, "ended" once and last, without the
 * scheduler's lock; whoever takes the lock, and whenever the request is cancelled. */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/scheduler/delivery.h"
#include "coordinator/scheduler/scheduler_state.h"

enum { LENGTH = 10, STEPS = 4, N_IDS = 100, N_REQUESTS = 2000, LONG = 1 << 16, MOST_LONG_STEPS = 64 };

static struct scheduler *scheduler;
static atomic_int n_changes;

/* ---- a replica that remembers tickets ---- */

static pthread_mutex_t tickets_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t tickets[N_REQUESTS];
static int n_tickets;

static void submit(void *connection, const struct run *run)
{
    (void)connection;
    pthread_mutex_lock(&tickets_lock);
    tickets[n_tickets++] = run->ticket;
    pthread_mutex_unlock(&tickets_lock);
}

static void cancel(void *connection, uint64_t ticket)
{
    (void)connection, (void)ticket;
}

static void drain(void *connection)
{
    (void)connection;
}

static void hang_up(void *connection, enum status status, const char *text)
{
    (void)connection, (void)status, (void)text;
}

static const struct replica_connection operations = {submit, cancel, drain, hang_up};
static int connection;

static uint64_t ticket(int index)
{
    pthread_mutex_lock(&tickets_lock);
    uint64_t found = index < n_tickets ? tickets[index] : 0;
    pthread_mutex_unlock(&tickets_lock);
    return found;
}

static void report(uint64_t of_ticket, uint32_t step, uint32_t steps)
{
    static const uint32_t position = 1, id = 7;
    const struct step_report step_report = {.ticket = of_ticket,
                                            .step = step,
                                            .n_changed = 1,
                                            .positions = &position,
                                            .ids = &id,
                                            .done = step == steps};
    ck_assert_int_eq(scheduler_report(scheduler, &connection, &step_report, NULL), STATUS_OK);
}

/* ---- a client that checks what it hears ---- */

enum { HEARD_MOST = 16 };
struct client {
    uint64_t number;
    atomic_int inside; /* threads in one of its callbacks */
    int n_accepted, n_ended;
    uint32_t next_step;
    enum status status;
    char heard[HEARD_MOST]; /* a letter each: a f m e */
    int n_heard;
    pthread_t thread; /* of the last callback */

    bool cancels_itself;
    pthread_barrier_t *gate; /* "accepted" waits here twice: when it is in, and to go on */
};

static void enter(struct client *client, char letter)
{
    ck_assert_int_eq(atomic_fetch_add(&client->inside, 1), 0); /* one thread at a time */
    ck_assert_int_eq(client->n_ended, 0);                      /* nothing behind "ended" */
    ck_assert_int_eq(client->n_accepted, letter != 'a');       /* nothing before "accepted" */
    if (client->n_heard < HEARD_MOST - 1)
        client->heard[client->n_heard++] = letter;
    client->thread = pthread_self();
    sched_yield(); /* so that others may come in, if they can */
}

static void leave(struct client *client)
{
    atomic_fetch_sub(&client->inside, 1);
}

static void on_accepted(void *context, const struct request_accepted *accepted)
{
    struct client *client = context;
    (void)accepted;
    enter(client, 'a');
    if (client->gate) {
        pthread_barrier_wait(client->gate);
        pthread_barrier_wait(client->gate);
    }
    client->n_accepted++;
    leave(client);
}

static void on_frame(void *context, const struct request_frame *frame)
{
    struct client *client = context;
    enter(client, 'f');
    ck_assert_uint_eq(frame->step, client->next_step++);
    ck_assert_uint_eq(frame->positions[frame->n - 1], frame->n == 1 ? 1 : (uint32_t)frame->n - 1);
    ck_assert_uint_eq(frame->ids[0], frame->n == 1 ? 7 : 0);
    if (client->cancels_itself)
        scheduler_cancel(scheduler, client->number); /* a callback may call the scheduler */
    leave(client);
}

static void on_moved(void *context, const struct request_moved *moved)
{
    (void)moved;
    enter(context, 'm');
    leave(context);
}

static void on_ended(void *context, const struct request_ended *ended)
{
    struct client *client = context;
    enter(client, 'e');
    ck_assert(!scheduler_is_idle(scheduler)); /* not before the client has been told */
    client->n_ended++;
    client->status = ended->status;
    leave(client);
}

static const struct request_sink sink = {on_accepted, on_frame, on_moved, on_ended};

static void accept_steps(struct client *client, int length, int steps)
{
    const struct request_terms terms = {.class = CLASS_NORMAL};
    const struct request_choices choices = {.steps_most = steps, .seed = 1, .temperature = 1};
    struct draft draft;
    struct error error = {0};
    ck_assert_int_eq(draft_create(&draft, (size_t)length, NULL), STATUS_OK);
    memset(draft.editable, 1, (size_t)length);
    struct request *request = request_of_draft(&terms, &choices, &draft);
    ck_assert_ptr_nonnull(request);
    enum status status = scheduler_accept(scheduler, request, &sink, client, &client->number, &error);
    ck_assert_msg(status == STATUS_OK, "%s", error.text);
}

/* ---- the cases ---- */

static void count_change(void *context)
{
    (void)context;
    n_changes++;
}

static void set_up(void)
{
    const struct scheduler_options options = {
        .max_queue = N_REQUESTS, .n_ids = N_IDS, .changed = count_change};
    const struct replica_hello hello = {"r0", "cpu", 1, NULL};
    const struct replica_capacity capacity = {.max_sequences = N_REQUESTS, .max_tokens = N_REQUESTS * LENGTH};
    scheduler = scheduler_create(&options);
    n_tickets = 0;
    ck_assert_int_eq(scheduler_attach(scheduler, &hello, &operations, &connection, NULL), STATUS_OK);
    scheduler_ready(scheduler, &connection, &capacity);
}

static void tear_down(void)
{
    scheduler_end_all(scheduler, "the test is over");
    ck_assert(scheduler_is_idle(scheduler));
    scheduler_free(scheduler);
}

START_TEST(events_come_in_order)
{
    static struct client client;
    client = (struct client){0};
    accept_steps(&client, LENGTH, STEPS);
    int before = n_changes;
    for (uint32_t step = 1; step <= STEPS; step++)
        report(ticket(0), step, STEPS);
    ck_assert_str_eq(client.heard, "afmffffe");
    ck_assert_int_eq(client.status, STATUS_OK);
    ck_assert(scheduler_is_idle(scheduler));
    ck_assert_int_eq(n_changes, before + 1); /* the last request has ended */
}
END_TEST

START_TEST(a_sink_may_call_the_scheduler)
{
    static struct client client;
    client = (struct client){.cancels_itself = true};
    accept_steps(&client, LENGTH, STEPS);
    ck_assert_str_eq(client.heard, "afme"); /* what had happened before still comes first */
    ck_assert_int_eq(client.status, STATUS_CANCELLED);
}
END_TEST

struct accepting {
    struct client *client;
    int length, steps;
};

static void *accept_there(void *context)
{
    const struct accepting *accepting = context;
    accept_steps(accepting->client, accepting->length, accepting->steps);
    return NULL;
}

/* While one thread is inside "accepted", others come, report and cancel, and wait for nothing. */
START_TEST(one_thread_delivers_what_others_add)
{
    static struct client client;
    pthread_barrier_t gate;
    pthread_t thread;
    pthread_barrier_init(&gate, NULL, 2);
    client = (struct client){.gate = &gate};
    struct accepting accepting = {&client, LENGTH, STEPS};
    ck_assert_int_eq(pthread_create(&thread, NULL, accept_there, &accepting), 0);
    pthread_barrier_wait(&gate);
    report(ticket(0), 1, STEPS);
    report(ticket(0), 2, STEPS);
    scheduler_cancel(scheduler, ticket(0)); /* a first ticket is the number */
    report(ticket(0), 3, STEPS);            /* late: nothing */
    ck_assert_str_eq(client.heard, "a");    /* nothing was delivered by us */
    ck_assert(!scheduler_is_idle(scheduler));
    pthread_barrier_wait(&gate);
    pthread_join(thread, NULL);
    ck_assert_str_eq(client.heard, "afmffe");
    ck_assert(pthread_equal(client.thread, thread));
    ck_assert_int_eq(client.status, STATUS_CANCELLED);
    pthread_barrier_destroy(&gate);
}
END_TEST

START_TEST(what_waits_is_bounded)
{
    static struct client client;
    static uint32_t positions[LONG], ids[LONG];
    pthread_barrier_t gate;
    pthread_t thread;
    const struct replica_capacity capacity = {.max_sequences = 1, .max_tokens = LONG};
    scheduler_ready(scheduler, &connection, &capacity);
    pthread_barrier_init(&gate, NULL, 2);
    client = (struct client){.gate = &gate};
    struct accepting accepting = {&client, LONG, MOST_LONG_STEPS};
    ck_assert_int_eq(pthread_create(&thread, NULL, accept_there, &accepting), 0);
    pthread_barrier_wait(&gate);
    for (uint32_t i = 0; i < LONG; i++)
        positions[i] = i;
    for (uint32_t step = 1; step <= MOST_LONG_STEPS; step++) {
        const struct step_report one = {.ticket = ticket(0),
                                        .step = step,
                                        .n_changed = LONG,
                                        .positions = positions,
                                        .ids = ids,
                                        .done = step == MOST_LONG_STEPS};
        ck_assert_int_eq(scheduler_report(scheduler, &connection, &one, NULL), STATUS_OK);
    }
    pthread_barrier_wait(&gate);
    pthread_join(thread, NULL);
    ck_assert_int_eq(client.n_ended, 1);
    ck_assert_int_eq(client.status, STATUS_RESOURCE_EXHAUSTED);
    ck_assert_uint_le((size_t)client.next_step * LONG * 8, DELIVERY_MOST_BYTES + LONG * 8);
    pthread_barrier_destroy(&gate);
}
END_TEST

/* ---- two threads, two thousand requests ---- */

static struct client crowd[N_REQUESTS];

static void *report_all(void *context)
{
    (void)context;
    for (int i = 0; i < N_REQUESTS; i++) {
        uint64_t mine;
        while (!(mine = ticket(i)))
            sched_yield();
        for (uint32_t step = 1; step <= STEPS; step++)
            report(mine, step, STEPS);
    }
    return NULL;
}

START_TEST(two_threads_never_mix_up_a_client)
{
    pthread_t thread;
    int n_finished = 0, n_cancelled = 0;
    memset(crowd, 0, sizeof crowd);
    ck_assert_int_eq(pthread_create(&thread, NULL, report_all, NULL), 0);
    for (int i = 0; i < N_REQUESTS; i++) {
        accept_steps(&crowd[i], LENGTH, STEPS);
        if (i % 3 == 0)
            scheduler_cancel(scheduler, crowd[i].number); /* while the other thread reports its steps */
    }
    pthread_join(thread, NULL);
    ck_assert(scheduler_is_idle(scheduler));
    for (int i = 0; i < N_REQUESTS; i++) {
        ck_assert_int_eq(crowd[i].n_accepted, 1);
        ck_assert_int_eq(crowd[i].n_ended, 1);
        n_finished += crowd[i].status == STATUS_OK;
        n_cancelled += crowd[i].status == STATUS_CANCELLED;
        if (crowd[i].status == STATUS_OK)
            ck_assert_uint_eq(crowd[i].next_step, STEPS + 1);
    }
    ck_assert_int_eq(n_finished + n_cancelled, N_REQUESTS);
    ck_assert_int_ge(n_finished, N_REQUESTS - (N_REQUESTS + 2) / 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("delivery");
    TCase *cases = tcase_create("delivery");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, events_come_in_order);
    tcase_add_test(cases, a_sink_may_call_the_scheduler);
    tcase_add_test(cases, one_thread_delivers_what_others_add);
    tcase_add_test(cases, what_waits_is_bounded);
    tcase_add_test(cases, two_threads_never_mix_up_a_client);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
