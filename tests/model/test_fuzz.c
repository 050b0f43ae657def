#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cli/convert/models.h"
#include "tests/model/fuzz.h"
#include "tests/model/support.h"
#include "tests/model/zips.h"
#include "tests/support/fuzz_run.h"

START_TEST(config)
{
    static const char seed[] =
        "{\"format\":\"millrace-1\",\"name\":\"m\",\"architecture\":\"fs-dfm\",\"vocabulary\":40,"
        "\"hidden\":16,\"heads\":2,\"blocks\":1,\"condition\":8,\"source\":\"uniform\","
        "\"scheduler\":{\"type\":\"polynomial\",\"exponent\":1.5},\"trained_length\":128,"
        "\"max_length\":1024,\"default_steps\":8,\"max_steps\":512,\"origin\":{}}";
    const struct published_model *published = published_model_at(_i - 1);
    if (published)
        fuzz_run(fuzz_config, published->config, strlen(published->config));
    else
        fuzz_run(fuzz_config, seed, sizeof seed - 1);
}
END_TEST

/* A header and little data, so that most mutations hit the header. */
START_TEST(safetensors)
{
    size_t n;
    unsigned char *seed =
        safetensors_make("{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],"
                         "\"data_offsets\":[0,24]},"
                         "\"b.weight\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},"
                         "\"c\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[32,40]}}",
                         40, &n);
    fuzz_run(fuzz_safetensors, seed, n);
    free(seed);
}
END_TEST

START_TEST(pickle)
{
    static const char *const checkpoints[] = {"ckpt_odd_tensors.pth", "ckpt_nano_pretrain.pth",
                                              "ckpt_nano_cuda_origmod.pth",
                                              "../families/duo/lightning_ema.ckpt"};
    char path[PATH_ROOM];
    size_t n;
    char *seed = zip_load(golden_path(checkpoints[_i], path), "data.pkl", &n);
    fuzz_run(fuzz_pickle, seed, n);
    free(seed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fuzz");
    TCase *tests = tcase_create("fuzz");
    tcase_add_loop_test(tests, config, 0, 7);
    tcase_add_test(tests, safetensors);
    tcase_add_loop_test(tests, pickle, 0, 4);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
