#ifndef MILLRACE_COMMON_UTF8_H
#define MILLRACE_COMMON_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The character that text[size_bytes] begins with: its size in bytes (1 to 4), or 0 when the bytes are no
 * whole, shortest-form character (RFC 3629: no surrogates, nothing above U+10FFFF). *character is set only
 * when it is one. */
int utf8_read(const char *text, size_t size_bytes, uint32_t *character);

/* Writes a character (RFC 3629, as above) and returns its size in bytes. */
int utf8_write(uint32_t character, char out[4]);

/* Bytes up to the first that is not part of a valid character; size_bytes when all are. */
size_t utf8_valid_size(const char *text, size_t size_bytes);

#endif
