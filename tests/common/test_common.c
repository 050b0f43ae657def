#include <signal.h>
#include <stdlib.h>

#include "tests/common/suites.h"

int main(void)
{
    SRunner *runner = srunner_create(options_suite());
    srunner_add_suite(runner, basics_suite());
    signal(SIGPIPE, SIG_IGN); /* as the programs do: a test writes to a pipe that nobody reads */
    srunner_add_suite(runner, log_suite());
    srunner_add_suite(runner, log_queue_suite());
    srunner_add_suite(runner, file_watch_suite());
    srunner_add_suite(runner, trace_suite());
    srunner_add_suite(runner, hash_suite());
    srunner_add_suite(runner, file_read_suite());
    srunner_add_suite(runner, process_suite());
    srunner_add_suite(runner, address_suite());
    srunner_add_suite(runner, clock_suite());
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
