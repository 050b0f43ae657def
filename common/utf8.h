#ifndef MILLRACE_COMMON_UTF8_H
#define MILLRACE_COMMON_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Reads the character with which text[size_bytes] begins, and returns its size in bytes (1 to 4). 0, with
 * *character untouched: the bytes are no whole character in its shortest form (RFC 3629: no surrogates,
 * nothing above U+10FFFF).
 */
int utf8_read(const char *text, size_t size_bytes, uint32_t *character);

/* Writes a character (RFC 3629, as above) and returns its size in bytes. */
int utf8_write(uint32_t character, char out[4]);

/* Makes the text of others fit for a terminal or a line of a log: every byte that is no part of a printable
 * character becomes '?'. Control characters, line breaks among them, could move the cursor, rename the window
 * or forge lines. */
void utf8_make_printable(char *text);

/* How many bytes come before the first byte that is not part of a valid character; size_bytes where all are.
 */
size_t utf8_valid_size(const char *text, size_t size_bytes);

/* The size of text[size_bytes] without a character that its end cuts off. */
size_t utf8_whole_size(const char *text, size_t size_bytes);

/* Copies as many whole characters of a string as fit into `to` with the terminator. A byte that is part of no
 * character becomes '?', so that the copy is valid UTF-8 whatever the string was. size_bytes is 1 or more. */
void utf8_copy(char *to, size_t size_bytes, const char *from);

#endif
