/* One step of a normalizer at work. */
#include "common/tokenizer/normalizer_step.h"

#include <string.h>

#include "common/tokenizer/bert_unicode.h"
#include "common/tokenizer/unicode.h"
#include "common/utf8.h"

enum { NORMALIZED_MAX = 1 << 30 };

/* Reads valid UTF-8, character by character; false at the end. */
static bool next_character(const char *text, size_t size, size_t *at, uint32_t *character)
{
    if (*at >= size)
        return false;
    int n = utf8_read(text + *at, size - *at, character);
    *at += (size_t)(n ? n : 1);
    return true;
}

/* As Rust has it: the full mapping, in which one capital alone becomes two characters. */
static void append_lower(uint32_t character, struct text_buffer *out)
{
    if (character == 0x130) {
        text_buffer_append(out, "i\xCC\x87", 3);
        return;
    }
    text_buffer_append_character(out, unicode_lower(character));
}

static void lowercase(const char *text, size_t size, struct text_buffer *out)
{
    uint32_t character = 0;
    for (size_t at = 0; next_character(text, size, &at, &character);)
        append_lower(character, out);
}

static void strip(const struct normalizer_step *step, const char *text, size_t size, struct text_buffer *out)
{
    uint32_t character = 0;
    size_t first = size, last = 0;
    for (size_t at = 0, start = 0; next_character(text, size, &at, &character); start = at) {
        if (unicode_is_space(character))
            continue;
        if (first == size)
            first = start;
        last = at;
    }
    if (!step->left)
        first = 0;
    if (!step->right)
        last = size;
    if (first < last)
        text_buffer_append(out, text + first, last - first);
}

/* Takes off what has the category Mn (nonspacing) or, with `all`, any mark. */
static void strip_marks(bool all, const char *text, size_t size, struct text_buffer *out)
{
    uint32_t character = 0;
    for (size_t at = 0, start = 0; next_character(text, size, &at, &character); start = at) {
        const char *category = all ? unicode_category(character) : bert_category(character);
        if (category[0] != 'M' || (category[1] != 'n' && !all))
            text_buffer_append(out, text + start, at - start);
    }
}

static enum status replace(const struct normalizer_step *step, const char *text, size_t size,
                           struct text_buffer *out, struct error *error)
{
    pcre2_match_data *room = step->regex ? regex_room() : NULL;
    enum status status = step->regex && !room
                             ? error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to normalize a text")
                             : STATUS_OK;
    size_t literal_bytes = step->literal ? strlen(step->literal) : 0, done = 0;
    while (status == STATUS_OK && out->n <= NORMALIZED_MAX) {
        size_t start = 0, end = 0;
        bool found = false;
        if (step->literal) {
            const char *place = memmem(text + done, size - done, step->literal, literal_bytes);
            found = place != NULL;
            start = found ? (size_t)(place - text) : 0;
            end = start + literal_bytes;
        } else {
            status = regex_find(step->regex, room, text, size, done, &found, &start, &end, error);
        }
        if (status != STATUS_OK || !found || end == start) /* an empty match would never end */
            break;
        text_buffer_append(out, text + done, start - done);
        text_buffer_append(out, step->content, step->content_bytes);
        done = end;
    }
    text_buffer_append(out, text + done, size - done);
    pcre2_match_data_free(room);
    return status;
}

/* ---- BERT ---- */

/* Ideographs; the gap between U+2B820 and U+2B920 is the reference's. */
static bool is_chinese(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) ||
           (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static bool is_dropped(uint32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r')
        return false;
    const char *category = bert_category(c);
    return c == 0 || c == 0xFFFD || (category[0] == 'C' && category[1] != 'n');
}

static void bert_characters(const struct normalizer_step *step, const char *text, size_t size,
                            struct text_buffer *out)
{
    uint32_t c = 0;
    for (size_t at = 0; next_character(text, size, &at, &c);) {
        if (step->clean && is_dropped(c))
            continue;
        bool alone = step->chinese && is_chinese(c);
        if (alone)
            text_buffer_append(out, " ", 1);
        text_buffer_append_character(out, step->clean && unicode_is_space(c) ? ' ' : c);
        if (alone)
            text_buffer_append(out, " ", 1);
    }
}

static enum status bert(const struct normalizer_step *step, const char *text, size_t size,
                        struct text_buffer *out, struct error *error)
{
    struct text_buffer cleaned = {0}, decomposed = {0}, bare = {0};
    struct text_buffer *last = &cleaned;
    bert_characters(step, text, size, &cleaned);
    enum status status = text_buffer_check(&cleaned, error);
    if (status == STATUS_OK && step->accents) {
        status = normal_form_append((struct normal_form){0}, cleaned.bytes, cleaned.n, &decomposed, error);
        if (status == STATUS_OK)
            status = text_buffer_check(&decomposed, error);
        if (status == STATUS_OK)
            strip_marks(false, decomposed.bytes, decomposed.n, &bare);
        if (status == STATUS_OK)
            status = text_buffer_check(&bare, error);
        last = &bare;
    }
    if (status == STATUS_OK && step->lowercase)
        lowercase(last->bytes, last->n, out);
    else if (status == STATUS_OK)
        text_buffer_append(out, last->bytes, last->n);
    text_buffer_release(&cleaned);
    text_buffer_release(&decomposed);
    text_buffer_release(&bare);
    return status;
}

enum status normalizer_step_append(const struct normalizer_step *step, const char *text, size_t size_bytes,
                                   struct text_buffer *out, struct error *error)
{
    enum status status = STATUS_OK;
    switch (step->kind) {
    case NORMALIZER_FORM:
        status = normal_form_append(step->form, text, size_bytes, out, error);
        break;
    case NORMALIZER_LOWERCASE:
        lowercase(text, size_bytes, out);
        break;
    case NORMALIZER_STRIP:
        strip(step, text, size_bytes, out);
        break;
    case NORMALIZER_STRIP_ACCENTS:
        strip_marks(true, text, size_bytes, out);
        break;
    case NORMALIZER_PREPEND:
        if (size_bytes)
            text_buffer_append(out, step->content, step->content_bytes);
        text_buffer_append(out, text, size_bytes);
        break;
    case NORMALIZER_REPLACE:
        status = replace(step, text, size_bytes, out, error);
        break;
    case NORMALIZER_BERT:
        status = bert(step, text, size_bytes, out, error);
        break;
    }
    if (status == STATUS_OK && out->n > NORMALIZED_MAX)
        status = error_set(error, STATUS_INVALID_ARGUMENT, "the normalized text has more than %d bytes",
                           NORMALIZED_MAX);
    return status;
}
