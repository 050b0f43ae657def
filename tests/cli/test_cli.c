#include <locale.h>
#include <stdlib.h>

#include "tests/cli/suites.h"

int main(void)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return EXIT_FAILURE; /* widths of characters are not to be had */
    SRunner *runner = srunner_create(infill_suite());
    srunner_add_suite(runner, glyphs_suite());
    srunner_add_suite(runner, view_suite());
    srunner_add_suite(runner, output_suite());
    srunner_add_suite(runner, table_suite());
    srunner_add_suite(runner, connection_suite());
    srunner_add_suite(runner, command_suite());
    srunner_add_suite(runner, json_output_suite());
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
