#ifndef MILLRACE_TESTS_SUPPORT_FUZZ_RUN_H
#define MILLRACE_TESTS_SUPPORT_FUZZ_RUN_H

#include <stddef.h>
#include <stdint.h>

/* Runs a target (tests/model/fuzz.h) on `seed`, which it must accept, and on 20,000 mutations of it, the same
 * each time, each in memory of exactly its size. Some must be refused, or nothing was tried, and not all. */
void fuzz_run(int target(const uint8_t *bytes, size_t size_bytes), const void *seed, size_t seed_bytes);

#endif
