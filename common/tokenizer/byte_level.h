#ifndef MILLRACE_COMMON_TOKENIZER_BYTE_LEVEL_H
#define MILLRACE_COMMON_TOKENIZER_BYTE_LEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * GPT-2's byte alphabet: in tokenizer.json every byte is written as one printable character. The bytes
 * that print in Latin-1 ('!' to '~', 0xA1 to 0xAC, 0xAE to 0xFF) stand for themselves; the 68 others, in
 * order, are U+0100 to U+0143: a space is U+0120, a line feed U+010A.
 */

/* The byte that a character stands for, or -1. */
int byte_level_byte(uint32_t character);

/* The character that stands for a byte. */
uint32_t byte_level_character(unsigned char byte);

/* Turns a word of the alphabet, in UTF-8, into its bytes; out has room for size_bytes. false: the word has a
 * character that is not of the alphabet. */
bool byte_level_decode(const char *word, size_t size_bytes, char *out, size_t *out_bytes);

#endif
