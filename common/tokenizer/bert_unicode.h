#ifndef MILLRACE_COMMON_TOKENIZER_BERT_UNICODE_H
#define MILLRACE_COMMON_TOKENIZER_BERT_UNICODE_H

#include <stdint.h>

/* The general category of a character, as unicode_category has it, but with the tables of Unicode 8: those
 * that the reference library reads BERT's texts with, and that a published vocabulary is used with. */
const char *bert_category(uint32_t character);

#endif
