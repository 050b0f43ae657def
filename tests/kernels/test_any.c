#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/any.h"

/* usage: test_any BACKEND. Exit 77 where that backend cannot run here. */
enum { EXIT_SKIPPED = 77 };
const struct backend *any_backend;

int main(int argc, char **argv)
{
    struct error error = {0};
    const char *name = argc > 1 ? argv[1] : "cpu";
    enum status status = backend_find(name, &any_backend, &error);
    bool skipped = status == STATUS_UNAVAILABLE && getenv("MILLRACE_CUDA_MODULE") == NULL;
    if (status != STATUS_OK) {
        fprintf(stderr, "%s%s\n", skipped ? "skipped: " : "", error.text);
        return skipped ? EXIT_SKIPPED : EXIT_FAILURE;
    }
    SRunner *runner = srunner_create(any_matmul_suite());
    srunner_add_suite(runner, any_rows_suite());
    srunner_add_suite(runner, any_attention_suite());
    srunner_add_suite(runner, any_head_suite());
    srunner_add_suite(runner, any_device_suite());
    srunner_set_fork_status(runner, CK_NOFORK); /* CUDA cannot be used in a child of a process that has it */
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
