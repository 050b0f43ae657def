#include "common/utf8.h"

#include <string.h>

int utf8_read(const char *text, size_t size_bytes, uint32_t *character)
{
    static const uint32_t least_of_size[] = {0, 0, 0x80, 0x800, 0x10000};
    if (size_bytes == 0)
        return 0;
    unsigned char first = (unsigned char)text[0];
    if (first < 0x80) {
        *character = first;
        return 1;
    }
    int size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || size_bytes < (size_t)size)
        return 0;
    uint32_t value = first & (0x7Fu >> size);
    for (int i = 1; i < size; i++) {
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | ((unsigned char)text[i] & 0x3Fu);
    }
    if (value < least_of_size[size] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    *character = value;
    return size;
}

int utf8_write(uint32_t character, char out[4])
{
    int size = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (int i = size - 1; i > 0; i--, character >>= 6)
        out[i] = (char)(0x80 | (character & 0x3F));
    out[0] = (char)(marks[size] | character);
    return size;
}

size_t utf8_valid_size(const char *text, size_t size_bytes)
{
    size_t at = 0;
    uint32_t character;
    while (at < size_bytes) {
        int size = utf8_read(text + at, size_bytes - at, &character);
        if (size == 0)
            break;
        at += (size_t)size;
    }
    return at;
}

/* The size of a character by its first byte; 1 where the byte begins none. */
static size_t size_of(unsigned char first)
{
    return first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
}

size_t utf8_whole_size(const char *text, size_t size_bytes)
{
    size_t start = size_bytes;
    while (start > 0 && size_bytes - start < 4) {
        unsigned char byte = (unsigned char)text[--start];
        if ((byte & 0xC0) != 0x80) /* the last character begins here */
            return size_of(byte) > size_bytes - start ? start : size_bytes;
    }
    return size_bytes;
}

void utf8_copy(char *to, size_t size_bytes, const char *from)
{
    size_t n_from = strlen(from), at = 0, n = 0;
    uint32_t character;
    while (at < n_from) {
        int size = utf8_read(from + at, n_from - at, &character);
        size_t step = size ? (size_t)size : 1;
        if (n + step >= size_bytes)
            break;
        if (size)
            memcpy(to + n, from + at, step);
        else
            to[n] = '?';
        n += step;
        at += step;
    }
    to[n] = '\0';
}

void utf8_make_printable(char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t character = 0;
        int size = utf8_read(text, left, &character);
        int control = character < 0x20 || (character >= 0x7f && character < 0xa0);
        if (!size || control)
            memset(text, '?', (size_t)(size ? size : 1));
        text += size ? size : 1;
        left -= (size_t)(size ? size : 1);
    }
}
