#include <stddef.h>
#include <stdint.h>

/* libFuzzer's entry; FUZZ_TARGET is the parser, by its compile definition. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes);
int FUZZ_TARGET(const uint8_t *bytes, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes)
{
    FUZZ_TARGET(bytes, size_bytes);
    return 0;
}
