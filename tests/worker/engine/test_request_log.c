/* Every line about a request has the id that its client was told, though the engine knows only tickets. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ticket.h"
#include "worker/engine/request_log.h"

static struct request_log request_log;

static void set_up(void)
{
    request_log_init(&request_log);
}

static void tear_down(void)
{
    request_log_release(&request_log);
}

/* What is written while `write` runs. */
static char *lines_of(void (*write)(void))
{
    static char text[4096];
    char path[] = "/tmp/millrace-log-XXXXXX";
    int file = mkstemp(path), before = dup(STDERR_FILENO);
    ck_assert_int_ge(file, 0);
    fflush(stderr);
    dup2(file, STDERR_FILENO);
    write();
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    ssize_t n = pread(file, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(file);
    unlink(path);
    return text;
}

static void come(uint64_t ticket, const char *id)
{
    Millrace__Replica__V1__Submit submit = MILLRACE__REPLICA__V1__SUBMIT__INIT;
    submit.sequence = ticket;
    submit.request_id = (char *)id;
    request_log_came(&request_log, &submit);
}

static void reject(uint64_t ticket)
{
    Millrace__Replica__V1__Rejected rejected = MILLRACE__REPLICA__V1__REJECTED__INIT;
    rejected.sequence = ticket;
    rejected.reason = (char *)"no";
    request_log_rejected(&request_log, &rejected);
}

static void reject_three(void)
{
    uint64_t again = ticket_next(7);
    come(7, "id-of-seven");
    come(again, "id-of-seven"); /* the same run, handed out again */
    come(8, "id-of-eight");
    reject(8);
    reject(7);
    reject(again);
}

START_TEST(lines_have_the_id)
{
    const char *text = lines_of(reject_three);
    const char *eight = strstr(text, "request=id-of-eight"), *seven = strstr(text, "request=id-of-seven");
    ck_assert(eight && seven && eight < seven);
    ck_assert_ptr_nonnull(strstr(seven + 1, "request=id-of-seven"));
    ck_assert_uint_eq(request_log.ids.n, 0); /* nothing is kept of what has left */
}
END_TEST

static void reject_unknown(void)
{
    come(7, ""); /* an older coordinator */
    reject(7);
    reject(ticket_next(9));
}

START_TEST(without_an_id_the_number_stands)
{
    const char *text = lines_of(reject_unknown);
    ck_assert_ptr_nonnull(strstr(text, "request=7 "));
    ck_assert_ptr_nonnull(strstr(text, "request=9 "));
}
END_TEST

static void clear_and_reject(void)
{
    for (uint64_t ticket = 1; ticket <= 100; ticket++)
        come(ticket, "gone");
    request_log_clear(&request_log);
    reject(5);
}

START_TEST(nothing_outlives_the_coordinator)
{
    const char *text = lines_of(clear_and_reject);
    ck_assert_ptr_nonnull(strstr(text, "request=5 "));
    ck_assert_ptr_null(strstr(text, "gone"));
    ck_assert_uint_eq(request_log.ids.n, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("request_log");
    TCase *cases = tcase_create("request_log");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, lines_have_the_id);
    tcase_add_test(cases, without_an_id_the_number_stands);
    tcase_add_test(cases, nothing_outlives_the_coordinator);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
