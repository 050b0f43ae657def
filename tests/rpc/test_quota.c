/* How many calls may be open: of one caller, and of all. */
#include "common/rpc/quota.h"

#include <stdio.h>
#include <string.h>

#include "tests/rpc/units.h"

START_TEST(one_caller_has_its_share_and_no_more)
{
    struct error error;
    struct quota *quota = quota_create(10, 2);
    ck_assert_int_eq(quota_take(quota, "anna", &error), STATUS_OK);
    ck_assert_int_eq(quota_take(quota, "anna", &error), STATUS_OK);
    ck_assert_int_eq(quota_take(quota, "anna", &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_str_eq(error.text, "2 calls of anna are open, which is the limit; try again later");
    ck_assert_int_gt(error.retry_after_ms, 0);
    ck_assert_int_eq(quota_take(quota, "ben", &error), STATUS_OK); /* her flood is not his */
    quota_give(quota, "anna");
    ck_assert_int_eq(quota_take(quota, "anna", &error), STATUS_OK);
    quota_free(quota);
}
END_TEST

START_TEST(all_callers_together_have_a_limit)
{
    struct error error;
    char name[32];
    struct quota *quota = quota_create(1000, 3);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "client-%d", i);
        ck_assert_int_eq(quota_take(quota, name, &error), STATUS_OK);
    }
    ck_assert_int_eq(quota_take(quota, "one-more", &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(error.text, "1000 calls are open"));
    quota_give(quota, "client-500");
    ck_assert_int_eq(quota_take(quota, "one-more", &error), STATUS_OK);
    ck_assert_int_eq(quota_take(quota, "client-500", NULL), STATUS_RESOURCE_EXHAUSTED);
    quota_free(quota);
}
END_TEST

/* A name that nobody has taken gives nothing back, and a refused call was never counted. */
START_TEST(only_what_was_taken_is_given_back)
{
    struct quota *quota = quota_create(1, 1);
    quota_give(quota, "nobody");
    ck_assert_int_eq(quota_take(quota, "anna", NULL), STATUS_OK);
    ck_assert_int_eq(quota_take(quota, "ben", NULL), STATUS_RESOURCE_EXHAUSTED);
    quota_give(quota, "ben");
    ck_assert_int_eq(quota_take(quota, "ben", NULL), STATUS_RESOURCE_EXHAUSTED);
    quota_give(quota, "anna");
    ck_assert_int_eq(quota_take(quota, "ben", NULL), STATUS_OK);
    quota_free(quota);
    quota_free(NULL);
}
END_TEST

Suite *quota_suite(void)
{
    Suite *suite = suite_create("quota");
    TCase *tests = tcase_create("quota");
    tcase_add_test(tests, one_caller_has_its_share_and_no_more);
    tcase_add_test(tests, all_callers_together_have_a_limit);
    tcase_add_test(tests, only_what_was_taken_is_given_back);
    suite_add_tcase(suite, tests);
    return suite;
}
