/*
 * The step loop of one rank: a real model on the CPU, a mailbox that the test fills, a sink that writes down
 * what it is told and may post mail from there, and a device that fails when it is told to.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/replica.pb-c.h"
#include "worker/engine/engine.h"
#include "worker/engine/submission.h"

enum { LENGTH = 8, MAX_SEQUENCES = 2, MAX_NOTES = 64 };

static struct meters meters;
static struct collective *alone;
static struct model model;
static struct backend failing; /* the CPU's table, but for `wait` */
static bool device_has_failed;
static struct mailbox *mailbox;
static struct engine *engine;

static struct {
    int n_reports, n_rejected, n_drained, n_done;
    uint64_t reported[MAX_NOTES], rejected[MAX_NOTES];
    uint32_t steps[MAX_NOTES], connections[MAX_NOTES];
    struct error error; /* of the last that was rejected */
    void (*at_report)(int n_reports);
} told;

static void note_report(void *context, const struct sequence_report *report, double step_seconds)
{
    (void)context;
    ck_assert_double_gt(step_seconds, 0);
    told.reported[told.n_reports] = report->number;
    told.steps[told.n_reports++] = report->step;
    told.n_done += report->done;
    if (told.at_report)
        told.at_report(told.n_reports);
}

static void note_rejected(void *context, uint64_t number, uint32_t connection, const struct error *error)
{
    (void)context;
    told.rejected[told.n_rejected] = number;
    told.connections[told.n_rejected++] = connection;
    told.error = *error;
}

static void note_drained(void *context)
{
    (void)context;
    told.n_drained++;
}

static const struct engine_sink sink = {
    .report = note_report, .rejected = note_rejected, .drained = note_drained};

static enum status failing_wait(struct device *device, int slot, struct error *error)
{
    if (device_has_failed)
        return error_set(error, STATUS_INTERNAL, "the device is on fire");
    return backend_cpu.wait(device, slot, error);
}

static void set_up(void)
{
    struct error error;
    char directory[4096];
    snprintf(directory, sizeof directory, "%s/models/books-mini", getenv("MILLRACE_SOURCE"));
    alone = collective_self_create();
    const struct plan_limits limits = {.max_sequences = MAX_SEQUENCES, .max_rows = 1};
    const struct model_options options = {.directory = directory,
                                          .backend = "cpu",
                                          .n_threads = 1,
                                          .gpu = -1,
                                          .collective = alone,
                                          .limits = limits,
                                          .meters = &meters};
    enum status status = model_open(&model, &options, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status == STATUS_OK ? "" : error.text);
    failing = *model.backend;
    failing.wait = failing_wait;
    model.backend = &failing;
    device_has_failed = false;
    mailbox = mailbox_create();
    memset(&told, 0, sizeof told);
    ck_assert_int_eq(engine_create(&model, model.forward.limits, false, &engine, &error), STATUS_OK);
}

static void tear_down(void)
{
    engine_free(engine);
    mailbox_free(mailbox, submission_free);
    model_close(&model);
    collective_free(alone);
}

static void submit_length(uint64_t number, uint32_t steps, size_t length)
{
    Millrace__Replica__V1__Submit *submit = malloc(sizeof *submit);
    millrace__replica__v1__submit__init(submit);
    submit->sequence = number;
    submit->n_ids = length;
    submit->ids = calloc(length, sizeof *submit->ids);
    submit->editable = (ProtobufCBinaryData){length, malloc(length)};
    memset(submit->editable.data, 1, length);
    submit->steps = steps;
    submit->seed = number;
    submit->temperature = 1;
    ck_assert(mailbox_post(
        mailbox,
        (struct mail){.kind = MAIL_SUBMIT, .number = number, .connection = 7, .submission = submit}));
}

static void submit(uint64_t number, uint32_t steps)
{
    submit_length(number, steps, LENGTH);
}

static enum status lead(struct error *error)
{
    return engine_lead(engine, mailbox, &sink, error);
}

START_TEST(a_warm_up_is_reported_to_nobody)
{
    struct error error;
    uint64_t before = meter_read(&meters, METER_PASSES);
    ck_assert_int_eq(engine_warm_up(engine, 0, &error), STATUS_OK);
    ck_assert_uint_eq(meter_read(&meters, METER_PASSES), before + 1);
    mailbox_order(mailbox, MAIL_DRAIN);
    ck_assert_int_eq(lead(&error), STATUS_OK);
    ck_assert_int_eq(told.n_reports, 0);
    ck_assert_int_eq(told.n_drained, 1);
}
END_TEST

/* A GPU loads kernels and records graphs when a shape comes for the first and the second time. */
START_TEST(a_gpu_is_warmed_up_by_two_texts_of_full_length)
{
    struct error error;
    failing.on_host = false;
    uint64_t passes = meter_read(&meters, METER_PASSES), rows = meter_read(&meters, METER_ROWS);
    ck_assert_int_eq(engine_warm_up(engine, 0, &error), STATUS_OK);
    ck_assert_uint_eq(meter_read(&meters, METER_PASSES), passes + 2);
    ck_assert_uint_eq(meter_read(&meters, METER_ROWS), rows + 2 * (uint64_t)model.weights.config.max_length);
}
END_TEST

/* Every rank waits for the warm-up's plan, and a step in which no row is needed has none: two ranks would
 * wait for ever. */
START_TEST(a_mask_source_is_warmed_up_too)
{
    struct error error;
    engine_free(engine);
    model.weights.config.source = SOURCE_MASK;
    model.weights.config.mask_token = model.weights.config.n_ids - 1;
    ck_assert_int_eq(engine_create(&model, model.forward.limits, false, &engine, &error), STATUS_OK);
    uint64_t before = meter_read(&meters, METER_PASSES);
    ck_assert_int_eq(engine_warm_up(engine, 0, &error), STATUS_OK);
    ck_assert_uint_eq(meter_read(&meters, METER_PASSES), before + 1);
}
END_TEST

/* More than the batch has room for: the third waits for a place, in order. */
START_TEST(a_drain_finishes_what_is_there)
{
    struct error error;
    submit(1, 3);
    submit(2, 2);
    submit(3, 1);
    mailbox_order(mailbox, MAIL_DRAIN);
    submit(4, 1); /* too late */
    ck_assert_int_eq(lead(&error), STATUS_OK);
    ck_assert_int_eq(told.n_done, 3);
    ck_assert_int_eq(told.n_reports, 6);
    ck_assert_int_eq(told.n_drained, 1);
    static const uint64_t order[] = {1, 2, 1, 2, 1, 3};
    static const uint32_t steps[] = {1, 1, 2, 2, 3, 1};
    for (int i = 0; i < 6; i++) {
        ck_assert_uint_eq(told.reported[i], order[i]);
        ck_assert_uint_eq(told.steps[i], steps[i]);
    }
    ck_assert_int_eq(told.n_rejected, 1);
    ck_assert_uint_eq(told.rejected[0], 4);
    ck_assert_uint_eq(told.connections[0], 7);
    ck_assert_int_eq(told.error.status, STATUS_UNAVAILABLE);
}
END_TEST

static void stop_at_the_third(int n_reports)
{
    if (n_reports == 3)
        mailbox_order(mailbox, MAIL_STOP);
}

START_TEST(a_stop_ends_at_the_next_step)
{
    struct error error;
    submit(1, 100);
    told.at_report = stop_at_the_third;
    ck_assert_int_eq(lead(&error), STATUS_OK);
    ck_assert_int_eq(told.n_reports, 3);
    ck_assert_int_eq(told.n_drained, 0);
}
END_TEST

static void cancel_the_first(int n_reports)
{
    if (n_reports == 2) { /* one step of both */
        mailbox_post(mailbox, (struct mail){.kind = MAIL_CANCEL, .number = 1});
        mailbox_order(mailbox, MAIL_DRAIN);
    }
}

START_TEST(a_cancelled_one_leaves_and_makes_room)
{
    struct error error;
    submit(1, 100);
    submit(2, 2);
    submit(3, 1);
    submit(4, 1);
    mailbox_post(mailbox, (struct mail){.kind = MAIL_CANCEL, .number = 4}); /* it waits here */
    told.at_report = cancel_the_first;
    ck_assert_int_eq(lead(&error), STATUS_OK);
    ck_assert_int_eq(told.n_done, 2);
    ck_assert_int_eq(told.n_reports, 4); /* 1 and 2, 2 and 3 */
    ck_assert_int_eq(told.n_drained, 1);
}
END_TEST

static void lose_the_coordinator(int n_reports)
{
    if (n_reports != 1)
        return;
    mailbox_order(mailbox, MAIL_CANCEL_ALL);
    submit(9, 1); /* of the coordinator that came after it */
    mailbox_order(mailbox, MAIL_DRAIN);
}

START_TEST(a_lost_coordinator_takes_its_sequences_with_it)
{
    struct error error;
    submit(1, 100);
    told.at_report = lose_the_coordinator;
    ck_assert_int_eq(lead(&error), STATUS_OK);
    ck_assert_int_eq(told.n_reports, 2);
    ck_assert_uint_eq(told.reported[1], 9);
}
END_TEST

START_TEST(what_cannot_run_is_rejected_once)
{
    struct error error;
    submit_length(1, 1, (size_t)model.weights.config.max_length + 1);
    submit(2, 0); /* no steps */
    for (uint64_t i = 3; i < 3 + 2 * MAX_SEQUENCES + 1; i++)
        submit(i, 1); /* one more than may wait */
    mailbox_order(mailbox, MAIL_DRAIN);
    ck_assert_int_eq(lead(&error), STATUS_OK);
    ck_assert_int_eq(told.n_rejected + told.n_done, 2 + 2 * MAX_SEQUENCES + 1);
    ck_assert_int_ge(told.n_rejected, 3);
}
END_TEST

static void burn(int n_reports)
{
    device_has_failed |= n_reports == 2;
}

/* The caller gets the device's own sentence; nobody is told that anything is drained. */
START_TEST(a_device_that_fails_ends_it)
{
    struct error error = {0};
    submit(1, 3); /* the last step of a text always needs the device */
    told.at_report = burn;
    mailbox_order(mailbox, MAIL_DRAIN);
    ck_assert_int_eq(lead(&error), STATUS_INTERNAL);
    ck_assert_str_eq(error.text, "the device is on fire");
    ck_assert_int_eq(told.n_reports, 2);
    ck_assert_int_eq(told.n_drained, 0);
}
END_TEST

START_TEST(a_warm_up_that_fails_says_why)
{
    struct error error = {0};
    device_has_failed = true;
    ck_assert_int_eq(engine_warm_up(engine, 0, &error), STATUS_INTERNAL);
    ck_assert_str_eq(error.text, "the device is on fire");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *tests = tcase_create("engine");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_warm_up_is_reported_to_nobody);
    tcase_add_test(tests, a_gpu_is_warmed_up_by_two_texts_of_full_length);
    tcase_add_test(tests, a_mask_source_is_warmed_up_too);
    tcase_add_test(tests, a_drain_finishes_what_is_there);
    tcase_add_test(tests, a_stop_ends_at_the_next_step);
    tcase_add_test(tests, a_cancelled_one_leaves_and_makes_room);
    tcase_add_test(tests, a_lost_coordinator_takes_its_sequences_with_it);
    tcase_add_test(tests, what_cannot_run_is_rejected_once);
    tcase_add_test(tests, a_device_that_fails_ends_it);
    tcase_add_test(tests, a_warm_up_that_fails_says_why);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
