#ifndef MILLRACE_COMMON_CHAT_TEXT_BUILDER_H
#define MILLRACE_COMMON_CHAT_TEXT_BUILDER_H

#include "common/chat/value.h"

/* A text that grows in the machine's memory, with who wrote which byte. It starts as zeros but for `machine`.
 */
struct text_builder {
    struct machine *machine;
    char *bytes;
    unsigned char *users;
    size_t n, capacity;
};

void builder_add(struct text_builder *builder, struct text text);
void builder_add_string(struct text_builder *builder, const char *text);
/* Bytes that a client wrote if `users` is not 0. */
void builder_add_bytes(struct text_builder *builder, const char *bytes, size_t n, unsigned char users);
struct text builder_text(const struct text_builder *builder);

struct text text_of(const char *text);
struct text text_part(struct text text, size_t start, size_t end);
/* Did a client write any of it? */
bool text_is_users(struct text text);
bool text_is(struct text text, const char *other);
bool text_equal(struct text a, struct text b);

/* Characters, not bytes. */
size_t text_length(struct text text);
size_t text_offset(struct text text, size_t character); /* of a character; the size for one behind the end */

/* White space of Python's str.strip, or the characters of `set` where that has bytes. */
struct text text_strip(struct text text, struct text set, bool left, bool right);
/* The byte offset at or after `from`, or SIZE_MAX. An empty `part` is found nowhere. */
size_t text_find(struct text text, struct text part, size_t from);

#endif
