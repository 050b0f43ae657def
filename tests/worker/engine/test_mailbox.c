/* What others ask of the engine: in order, with a limit on waiting. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "worker/engine/mailbox.h"

static uint64_t take_number(struct mailbox *mailbox, double seconds)
{
    struct mail *mail = mailbox_take(mailbox, seconds);
    uint64_t number = mail ? mail->number : 0;
    free(mail);
    return number;
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

int main(void)
{
    Suite *suite = suite_create("mailbox");
    TCase *tests = tcase_create("mailbox");
    tcase_add_test(tests, first_come_first_out);
    tcase_add_test(tests, waiting_has_a_limit);
    tcase_add_test(tests, who_waits_is_woken);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
