/* A bounded run over mutations of bodies of completions, the same each time. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/fuzz_run.h"

int fuzz_completions(const uint8_t *data, size_t size);

static const char *const seeds[] = {
    "{\"prompt\":\"The cat\",\"suffix\":\" end.\",\"max_tokens\":4,\"n\":2,\"best_of\":2,\"seed\":5,"
    "\"temperature\":0.7,\"stop\":[\"a\",\"b\"],\"echo\":true,\"stream\":true,\"user\":\"u\","
    "\"stream_options\":{\"include_usage\":true},\"top_p\":1,\"logit_bias\":{},\"millrace\":{\"steps\":"
    "{\"at_least\":1,\"at_most\":4},\"solver\":\"euler\",\"deadline\":2.5,\"priority\":\"low\",\"frames\":"
    "true}}",
    "{\"prompt\":[[1,2,3],[4]],\"max_tokens\":2}",
    "{\"millrace\":{\"segments\":[{\"text\":\"a\"},{\"gap\":3},{\"text\":\" b\"}],\"steps\":3}}",
};

START_TEST(bodies)
{
    fuzz_run(fuzz_completions, seeds[_i], strlen(seeds[_i]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fuzz_completions");
    TCase *tests = tcase_create("fuzz");
    tcase_add_loop_test(tests, bodies, 0, sizeof seeds / sizeof *seeds);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
