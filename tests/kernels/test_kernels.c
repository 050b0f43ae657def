#include <stdlib.h>

#include "tests/kernels/support.h"

int main(void)
{
    SRunner *runner = srunner_create(matmul_suite());
    srunner_add_suite(runner, elementary_suite());
    srunner_add_suite(runner, device_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
