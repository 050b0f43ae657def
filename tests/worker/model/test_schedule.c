/* What the grid of any number of steps has; that it is the reference's is checked with its vectors
 * (test_golden.c). */
#include <check.h>
#include <stdlib.h>

#include "worker/model/schedule.h"

START_TEST(every_number_of_steps_ends_at_one)
{
    for (int n = 1; n <= 1024; n++) {
        float before = -1;
        for (int step = 0; step < n; step++) {
            struct schedule_step at = schedule_step_at(step, n, 1);
            ck_assert(at.t > before && at.h > 0);
            before = at.t;
            if (step == n - 1)
                ck_assert_float_eq(at.t + at.h, 1.0f);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *cases = tcase_create("schedule");
    tcase_add_test(cases, every_number_of_steps_ends_at_one);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
