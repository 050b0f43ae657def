/*
 * One fuzz input: bytes that are read as a tokenizer.json. What is accepted must work: encode a text, and
 * decode it. Runs under libFuzzer (tests/support/fuzz_entry.c) and in the bounded run of test_fuzz.c.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/tokenizer.h"

int fuzz_tokenizer(const uint8_t *data, size_t size);

static const char sample[] = "hello aaaa <|end|>h\xC3\xA9ll!\n\n <|endoftext|>";

/* 1: the input was accepted; 0: refused. */
int fuzz_tokenizer(const uint8_t *data, size_t size)
{
    struct tokenizer *tokenizer = NULL;
    struct error error;
    if (tokenizer_parse((const char *)data, size, 300, "fuzz", &tokenizer, &error) != STATUS_OK)
        return 0;
    int32_t *ids = NULL;
    char *text = NULL;
    size_t n_ids = 0, text_size = 0;
    if (tokenizer_encode(tokenizer, sample, sizeof sample - 1, &ids, &n_ids, &error) != STATUS_OK ||
        tokenizer_decode(tokenizer, ids, n_ids, &text, &text_size, &error) != STATUS_OK)
        abort();
    free(ids);
    free(text);
    tokenizer_free(tokenizer);
    return 1;
}
