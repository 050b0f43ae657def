/* A bounded run over mutations of the smallest tokenizer.json, the same each time. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/fuzz_run.h"
#include "tests/tokenizer/small_vocabulary.h"

int fuzz_tokenizer(const uint8_t *data, size_t size);

START_TEST(tokenizers)
{
    json_t *root = small_vocabulary();
    char *seed = json_dumps(root, 0);
    ck_assert_ptr_nonnull(seed);
    fuzz_run(fuzz_tokenizer, seed, strlen(seed));
    free(seed);
    json_decref(root);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fuzz_tokenizer");
    TCase *tests = tcase_create("fuzz");
    tcase_add_test(tests, tokenizers);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
