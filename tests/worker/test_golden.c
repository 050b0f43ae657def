/* Everything that the reference implementation's recorded results say about this worker, on these ranks. */
#include <stdio.h>

#include "tests/worker/golden.h"
#include "tests/worker/mpi_main.h"
#include "worker/verify/verify.h"

/* One kind of file; each at least once, and every check right. */
START_TEST(agrees_with_the_reference)
{
    struct report report = {.out = stdout};
    struct error error;
    const struct verify_options options = {.directory = golden_directory(),
                                           .only = verify_kind(_i),
                                           .backend = "cpu",
                                           .n_threads = 1,
                                           .collective = ranks};
    enum status status = verify_run(&options, &report, &error);
    ck_assert_msg(status == STATUS_OK, "%s", error.text);
    ck_assert_int_gt(report.n_checks, 0);
    ck_assert_msg(report.n_failed == 0, "%s: %d of %d checks failed", options.only, report.n_failed,
                  report.n_checks);
}
END_TEST

Suite *mpi_suite(void)
{
    Suite *suite = suite_create("golden");
    TCase *cases = tcase_create("golden vectors");
    int n_kinds = 0;
    while (verify_kind(n_kinds))
        n_kinds++;
    tcase_add_loop_test(cases, agrees_with_the_reference, 0, n_kinds);
    suite_add_tcase(suite, cases);
    return suite;
}
