#ifndef MILLRACE_COMMON_TOKENIZER_TEXT_BUFFER_H
#define MILLRACE_COMMON_TOKENIZER_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/* Bytes that grow. It starts as zeros; its owner frees bytes. A failed append is remembered in `failed`, so
 * that a row of appends is checked once, with text_buffer_check. */
struct text_buffer {
    char *bytes;
    size_t n, capacity;
    bool failed;
};

void text_buffer_append(struct text_buffer *buffer, const char *bytes, size_t n);
void text_buffer_append_string(struct text_buffer *buffer, const char *text);
void text_buffer_append_character(struct text_buffer *buffer, uint32_t character); /* as UTF-8 */
void text_buffer_append_format(struct text_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* at most 255 bytes */

/* RESOURCE_EXHAUSTED when an append has failed. On STATUS_OK, bytes is not NULL and has a NUL behind it. */
enum status text_buffer_check(struct text_buffer *buffer, struct error *error);

void text_buffer_release(struct text_buffer *buffer);

#endif
