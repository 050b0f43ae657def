#include <stdlib.h>

#include "tests/model/suites.h"

int main(void)
{
    SRunner *runner = srunner_create(config_suite());
    srunner_add_suite(runner, safetensors_suite());
    srunner_add_suite(runner, shard_index_suite());
    srunner_add_suite(runner, model_suite());
    srunner_add_suite(runner, published_suite());
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
