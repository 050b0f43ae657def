#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/memory_return.h"

enum { N = 50000, BYTES = 4000 };

static long resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    ck_assert_int_eq(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* A block that stays in use above all others keeps malloc from giving them back by itself. */
START_TEST(what_was_freed_goes_back)
{
    static char *blocks[N];
    memory_return_prepare();
    for (int i = 0; i < N; i++)
        memset(blocks[i] = malloc(BYTES), 1, BYTES);
    char *last = malloc(64);
    long full = resident_bytes();
    for (int i = 0; i < N; i++)
        free(blocks[i]);
    ck_assert_int_gt(resident_bytes(), full - (long)N * BYTES / 2);
    memory_return();
    ck_assert_int_lt(resident_bytes(), full - (long)N * BYTES / 10 * 9);
    free(last);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory_return");
    TCase *cases = tcase_create("memory_return");
    tcase_add_test(cases, what_was_freed_goes_back);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
