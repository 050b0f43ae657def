#include "common/tokenizer/text_buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

static bool reserve(struct text_buffer *buffer, size_t more)
{
    if (buffer->capacity - buffer->n > more) /* one byte stays for the NUL */
        return true;
    size_t capacity = buffer->n + more + 64 + buffer->capacity / 2;
    char *bytes = buffer->failed ? NULL : realloc(buffer->bytes, capacity);
    if (!bytes) {
        buffer->failed = true;
        return false;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

void text_buffer_append(struct text_buffer *buffer, const char *bytes, size_t n)
{
    if (!reserve(buffer, n))
        return;
    if (n)
        memcpy(buffer->bytes + buffer->n, bytes, n);
    buffer->n += n;
}

void text_buffer_append_string(struct text_buffer *buffer, const char *text)
{
    text_buffer_append(buffer, text, strlen(text));
}

void text_buffer_append_character(struct text_buffer *buffer, uint32_t character)
{
    char bytes[4];
    int size = utf8_write(character, bytes);
    text_buffer_append(buffer, bytes, (size_t)size);
}

void text_buffer_append_format(struct text_buffer *buffer, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n > 0)
        text_buffer_append(buffer, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

enum status text_buffer_check(struct text_buffer *buffer, struct error *error)
{
    if (!buffer->failed && reserve(buffer, 0)) {
        buffer->bytes[buffer->n] = '\0';
        return STATUS_OK;
    }
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text of %zu bytes", buffer->n);
}

void text_buffer_release(struct text_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct text_buffer){0};
}
