#include "common/chat/text_builder.h"

#include <string.h>

#include "common/tokenizer/unicode.h"
#include "common/utf8.h"

static bool reserve(struct text_builder *builder, size_t more)
{
    if (builder->capacity - builder->n >= more)
        return !bounded_failed(builder->machine);
    size_t capacity = builder->n + more + builder->capacity / 2 + 32;
    char *bytes = bounded_take(builder->machine, capacity);
    unsigned char *users = bounded_take(builder->machine, capacity);
    if (!bytes || !users)
        return false;
    if (builder->n) {
        memcpy(bytes, builder->bytes, builder->n);
        memcpy(users, builder->users, builder->n);
    }
    builder->bytes = bytes;
    builder->users = users;
    builder->capacity = capacity;
    return true;
}

void builder_add(struct text_builder *builder, struct text text)
{
    if (text.size == 0 || !reserve(builder, text.size))
        return;
    memcpy(builder->bytes + builder->n, text.bytes, text.size);
    if (text.users)
        memcpy(builder->users + builder->n, text.users, text.size);
    else
        memset(builder->users + builder->n, 0, text.size);
    builder->n += text.size;
}

void builder_add_bytes(struct text_builder *builder, const char *bytes, size_t n, unsigned char users)
{
    if (n == 0 || !reserve(builder, n))
        return;
    memcpy(builder->bytes + builder->n, bytes, n);
    memset(builder->users + builder->n, users, n);
    builder->n += n;
}

void builder_add_string(struct text_builder *builder, const char *text)
{
    builder_add(builder, text_of(text));
}

struct text builder_text(const struct text_builder *builder)
{
    return (struct text){builder->n ? builder->bytes : "", builder->n, builder->n ? builder->users : NULL};
}

struct text text_of(const char *text)
{
    return (struct text){text, strlen(text), NULL};
}

struct text text_part(struct text text, size_t start, size_t end)
{
    return (struct text){text.bytes + start, end - start, text.users ? text.users + start : NULL};
}

bool text_is_users(struct text text)
{
    for (size_t i = 0; text.users && i < text.size; i++) {
        if (text.users[i])
            return true;
    }
    return false;
}

bool text_equal(struct text a, struct text b)
{
    return a.size == b.size && (a.size == 0 || !memcmp(a.bytes, b.bytes, a.size));
}

bool text_is(struct text text, const char *other)
{
    return text_equal(text, text_of(other));
}

size_t text_length(struct text text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++)
        n += ((unsigned char)text.bytes[i] & 0xC0) != 0x80;
    return n;
}

size_t text_offset(struct text text, size_t character)
{
    size_t at = 0;
    while (at < text.size && character > 0) {
        at++;
        while (at < text.size && ((unsigned char)text.bytes[at] & 0xC0) == 0x80)
            at++;
        character--;
    }
    return at;
}

static bool goes(uint32_t character, struct text set)
{
    if (set.size == 0) /* Python's white space also has the separators of ASCII */
        return unicode_is_space(character) || (character >= 0x1C && character <= 0x1F);
    for (size_t at = 0; at < set.size;) {
        uint32_t one = 0;
        int n = utf8_read(set.bytes + at, set.size - at, &one);
        if (one == character)
            return true;
        at += (size_t)(n ? n : 1);
    }
    return false;
}

struct text text_strip(struct text text, struct text set, bool left, bool right)
{
    size_t start = 0, end = text.size;
    uint32_t character = 0;
    while (left && start < end) {
        int n = utf8_read(text.bytes + start, end - start, &character);
        if (n == 0 || !goes(character, set))
            break;
        start += (size_t)n;
    }
    while (right && end > start) {
        size_t before = end - 1;
        while (before > start && ((unsigned char)text.bytes[before] & 0xC0) == 0x80)
            before--;
        if (!utf8_read(text.bytes + before, end - before, &character) || !goes(character, set))
            break;
        end = before;
    }
    return text_part(text, start, end);
}

size_t text_find(struct text text, struct text part, size_t from)
{
    if (part.size == 0 || from > text.size || text.size - from < part.size)
        return SIZE_MAX;
    const char *found = memmem(text.bytes + from, text.size - from, part.bytes, part.size);
    return found ? (size_t)(found - text.bytes) : SIZE_MAX;
}
