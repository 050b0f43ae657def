#include <grpc/grpc.h>
#include <stdlib.h>

#include "tests/rpc/units.h"

int main(void)
{
    SRunner *runner = srunner_create(quota_suite());
    grpc_init();
    srunner_add_suite(runner, metadata_suite());
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    grpc_shutdown();
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
