#ifndef MILLRACE_TESTS_TOKENIZER_SMALL_VOCABULARY_H
#define MILLRACE_TESTS_TOKENIZER_SMALL_VOCABULARY_H

#include <jansson.h>

#include "common/tokenizer/tokenizer.h"

/*
 * The smallest complete tokenizer.json: ids 0 to 255 are the bytes 0x00 to 0xFF, 256 "he", 257 "ll", 258
 * "hell", 259 "hello", 260 "aa", 261 "aaaa", 262 "<|endoftext|>", 263 "<|end|>". The caller owns it and may
 * spoil it.
 */
json_t *small_vocabulary(void);
enum { SMALL_VOCABULARY_IDS = 264 };

/* Sets what is at `path` ("model.vocab.he") to the JSON `value`; "" removes it. A number in the path is an
 * index of a list, "+" appends to it. */
void small_vocabulary_set(json_t *root, const char *path, const char *value);

/* Parses what is in `root`, which it takes. */
enum status small_vocabulary_parse(json_t *root, struct tokenizer **tokenizer, struct error *error);

#endif
