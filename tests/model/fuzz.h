#ifndef MILLRACE_TESTS_MODEL_FUZZ_H
#define MILLRACE_TESTS_MODEL_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/*
 * One parser each, fed any bytes: it must end, refuse with a sentence or accept, and what it accepts must
 * hold together (all of it is touched). A sanitizer or an assertion is what finds fault. Return 0 for bytes
 * that were refused, 1 for accepted ones.
 *
 * Two drivers: libFuzzer (tests/support/fuzz_entry.c; configure with clang, -DMILLRACE_FUZZ=ON and
 * -DMILLRACE_SANITIZE=fuzzer-no-link,address,undefined), and a bounded run over mutated seeds, the same each
 * time (test_fuzz.c, tests/support/fuzz_run.h), which CTest starts.
 */
int fuzz_safetensors(const uint8_t *bytes, size_t size_bytes);
int fuzz_config(const uint8_t *bytes, size_t size_bytes);
int fuzz_pickle(const uint8_t *bytes, size_t size_bytes);

#endif
