/* What waits at a replica for room in its batch. */
#include <check.h>
#include <stdlib.h>

#include "worker/engine/backlog.h"

static int n_freed;

static void free_submission(void *submission)
{
    free(submission);
    n_freed++;
}

static struct mail mail(uint64_t number)
{
    return (struct mail){.kind = MAIL_SUBMIT, .number = number, .submission = malloc(1)};
}

static bool push(struct backlog *backlog, struct mail pushed, int length)
{
    return backlog_push(backlog, &pushed, length);
}

static void pop(struct backlog *backlog, uint64_t number)
{
    struct mail oldest = backlog_pop(backlog);
    ck_assert_uint_eq(oldest.number, number);
    free(oldest.submission);
}

START_TEST(first_come_first_out_within_its_bounds)
{
    struct backlog backlog;
    ck_assert(backlog_init(&backlog, 3, 100));
    ck_assert(push(&backlog, mail(1), 40));
    struct mail large = mail(2);
    ck_assert(!push(&backlog, large, 61));
    ck_assert(push(&backlog, large, 60));
    pop(&backlog, 1);
    ck_assert(push(&backlog, mail(3), 20));
    ck_assert(push(&backlog, mail(4), 10));
    struct mail fourth = mail(5);
    ck_assert(!push(&backlog, fourth, 1));
    n_freed = 0;
    ck_assert(backlog_remove(&backlog, 3, free_submission));
    ck_assert(!backlog_remove(&backlog, 3, free_submission));
    ck_assert_int_eq(n_freed, 1);
    ck_assert(push(&backlog, fourth, 30)); /* 60 + 10 + 30 */
    pop(&backlog, 2);
    pop(&backlog, 4);
    ck_assert_int_eq(backlog.n, 1);
    ck_assert_int_eq(backlog.n_tokens, 30);
    backlog_release(&backlog, free_submission);
    ck_assert_int_eq(n_freed, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backlog");
    TCase *tests = tcase_create("backlog");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, first_come_first_out_within_its_bounds);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
