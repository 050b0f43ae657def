/* What others ask of the engine: in order, with a limit on waiting. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "worker/engine/mailbox.h"

/* The linker puts this in front of malloc (--wrap). */
static bool memory_has_ended;
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return memory_has_ended ? NULL : __real_malloc(size);
}

static uint64_t take_number(struct mailbox *mailbox, double seconds)
{
    struct mail mail;
    return mailbox_take(mailbox, seconds, &mail) ? mail.number : 0;
}

START_TEST(first_come_first_out)
{
    struct mailbox *mailbox = mailbox_create();
    ck_assert_uint_eq(take_number(mailbox, 0), 0);
    for (uint64_t i = 1; i <= 3; i++)
        ck_assert(mailbox_post(mailbox, (struct mail){.kind = MAIL_CANCEL, .number = i}));
    for (uint64_t i = 1; i <= 3; i++)
        ck_assert_uint_eq(take_number(mailbox, 0), i);
    ck_assert_uint_eq(take_number(mailbox, 0), 0);
    mailbox_free(mailbox, NULL);
}
END_TEST

START_TEST(waiting_has_a_limit)
{
    struct mailbox *mailbox = mailbox_create();
    double start = clock_seconds();
    ck_assert_uint_eq(take_number(mailbox, 0.05), 0);
    ck_assert_double_ge(clock_seconds() - start, 0.05);
    mailbox_free(mailbox, NULL);
}
END_TEST

static void *post_one(void *mailbox)
{
    mailbox_post(mailbox, (struct mail){.kind = MAIL_CANCEL, .number = 7});
    return NULL;
}

START_TEST(who_waits_is_woken)
{
    struct mailbox *mailbox = mailbox_create();
    pthread_t thread;
    pthread_create(&thread, NULL, post_one, mailbox);
    ck_assert_uint_eq(take_number(mailbox, 100), 7); /* or the test runs into its own limit */
    pthread_join(thread, NULL);
    mailbox_free(mailbox, NULL);
}
END_TEST

static enum mail_kind take_kind(struct mailbox *mailbox)
{
    struct mail mail;
    ck_assert(mailbox_take(mailbox, 0, &mail));
    return mail.kind;
}

/* What must not be lost is not, where memory has ended; the rest is refused. */
START_TEST(orders_need_no_memory)
{
    struct mailbox *mailbox = mailbox_create();
    ck_assert(mailbox_post(mailbox, (struct mail){.kind = MAIL_CANCEL, .number = 1}));
    memory_has_ended = true;
    bool posted = mailbox_post(mailbox, (struct mail){.kind = MAIL_CANCEL, .number = 2});
    mailbox_order(mailbox, MAIL_CANCEL_ALL);
    mailbox_order(mailbox, MAIL_STOP);
    mailbox_order(mailbox, MAIL_DRAIN);
    memory_has_ended = false;
    ck_assert(!posted);
    ck_assert_uint_eq(take_number(mailbox, 0), 1);
    ck_assert_int_eq(take_kind(mailbox), MAIL_CANCEL_ALL);
    ck_assert_int_eq(take_kind(mailbox), MAIL_STOP);
    ck_assert_int_eq(take_kind(mailbox), MAIL_DRAIN);
    ck_assert_uint_eq(take_number(mailbox, 0), 0);
    mailbox_order(mailbox, MAIL_STOP); /* once more, after it was taken */
    ck_assert_int_eq(take_kind(mailbox), MAIL_STOP);
    mailbox_free(mailbox, NULL);
}
END_TEST

/* All that came before the last loss of a coordinator is dropped, and nothing that came after it. */
START_TEST(the_last_order_of_a_kind_counts)
{
    struct mailbox *mailbox = mailbox_create();
    mailbox_order(mailbox, MAIL_CANCEL_ALL);
    mailbox_post(mailbox, (struct mail){.kind = MAIL_SUBMIT, .number = 1});
    mailbox_order(mailbox, MAIL_CANCEL_ALL);
    mailbox_order(mailbox, MAIL_CANCEL_ALL);
    mailbox_post(mailbox, (struct mail){.kind = MAIL_SUBMIT, .number = 2});
    ck_assert_uint_eq(take_number(mailbox, 0), 1);
    ck_assert_int_eq(take_kind(mailbox), MAIL_CANCEL_ALL);
    ck_assert_uint_eq(take_number(mailbox, 0), 2);
    ck_assert_uint_eq(take_number(mailbox, 0), 0);
    mailbox_free(mailbox, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mailbox");
    TCase *tests = tcase_create("mailbox");
    tcase_add_test(tests, first_come_first_out);
    tcase_add_test(tests, waiting_has_a_limit);
    tcase_add_test(tests, who_waits_is_woken);
    tcase_add_test(tests, orders_need_no_memory);
    tcase_add_test(tests, the_last_order_of_a_kind_counts);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
