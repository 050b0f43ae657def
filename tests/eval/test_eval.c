#include <stdlib.h>

#include "tests/eval/suites.h"

int main(void)
{
    SRunner *runner = srunner_create(metrics_suite());
    srunner_add_suite(runner, samples_suite());
    srunner_add_suite(runner, judge_suite());
    srunner_add_suite(runner, plot_suite());
    srunner_add_suite(runner, tasks_suite());
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
