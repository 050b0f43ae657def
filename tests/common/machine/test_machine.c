#include <stdlib.h>

#include "tests/common/machine/suites.h"

int main(void)
{
    SRunner *runner = srunner_create(control_groups_suite());
    srunner_add_suite(runner, cpus_suite());
    srunner_add_suite(runner, near_suite());
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
