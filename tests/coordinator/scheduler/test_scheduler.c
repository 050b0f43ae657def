#include "tests/coordinator/scheduler/scheduler_fixture.h"

int main(void)
{
    Suite *suite = suite_create("scheduler");
    suite_add_tcase(suite, requests_case());
    suite_add_tcase(suite, replicas_case());
    suite_add_tcase(suite, limits_case());
    suite_add_tcase(suite, failures_case());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
