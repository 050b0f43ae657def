#include "tests/support/fuzz_run.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/mutate.h"

enum { ROUNDS = 20000, GROWTH_BYTES = 4096 };

void fuzz_run(int target(const uint8_t *bytes, size_t size_bytes), const void *seed, size_t seed_bytes)
{
    struct sequence sequence = {0x9E3779B97F4A7C15u};
    uint8_t *scratch = malloc(seed_bytes + GROWTH_BYTES);
    int n_refused = 0;
    ck_assert_int_eq(target(seed, seed_bytes), 1);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = seed_bytes;
        memcpy(scratch, seed, seed_bytes);
        mutate(&sequence, scratch, &n, seed_bytes + GROWTH_BYTES);
        uint8_t *exact = malloc(n + (n == 0));
        memcpy(exact, scratch, n);
        n_refused += target(exact, n) == 0;
        free(exact);
    }
    ck_assert_int_gt(n_refused, ROUNDS / 20);
    ck_assert_int_lt(n_refused, ROUNDS);
    free(scratch);
}
