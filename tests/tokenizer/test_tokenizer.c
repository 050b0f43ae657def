#include <stdlib.h>

#include "tests/tokenizer/suites.h"

int main(void)
{
    SRunner *runner = srunner_create(vectors_suite());
    srunner_add_suite(runner, reference_suite());
    srunner_add_suite(runner, hostile_suite());
    srunner_add_suite(runner, settings_suite());
    srunner_add_suite(runner, utf8_suite());
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
