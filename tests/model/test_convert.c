#include <stdlib.h>

#include "tests/model/convert_suites.h"

int main(void)
{
    SRunner *runner = srunner_create(pickle_suite());
    srunner_add_suite(runner, checkpoint_suite());
    srunner_add_suite(runner, convert_suite());
    srunner_add_suite(runner, tools_suite());
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
