/* One step of a pre-tokenizer at work. */
#include "common/tokenizer/pre_tokenizer_step.h"

#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/bert_unicode.h"
#include "common/tokenizer/byte_level.h"
#include "common/tokenizer/unicode.h"
#include "common/utf8.h"

bool pre_tokenizer_is_punctuation(uint32_t character)
{
    if (character < 0x80)
        return character > ' ' && character < 0x7F && unicode_class(character) == UNICODE_OTHER;
    return bert_category(character)[0] == 'P';
}

bool pre_tokenizer_is_number(uint32_t character)
{
    return unicode_class(character) == UNICODE_NUMBER;
}

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to split a text");
}

/* ---- finding matches within one piece; offsets are those of the whole text ---- */

/* A run of characters for which `class_of` says the same; 0 is no match. With `alone` each match is its own.
 */
static bool match_classes(const char *text, struct span piece, int (*class_of)(uint32_t, const void *),
                          const void *context, bool alone, struct match_list *list)
{
    size_t start = piece.start;
    int before = -1;
    for (size_t at = piece.start; at < piece.end;) {
        uint32_t character = 0;
        int n = utf8_read(text + at, piece.end - at, &character);
        int class = class_of(character, context);
        if (before >= 0 && (class != before || (alone && class))) {
            if (!match_list_add(list, start, at, before != 0))
                return false;
            start = at;
        }
        before = class;
        at += (size_t)(n ? n : 1);
    }
    return before < 0 || match_list_add(list, start, piece.end, before != 0);
}

static int class_by_property(uint32_t character, const void *context)
{
    const struct pre_tokenizer_step *step = context;
    return step->has_property(character);
}

static int class_of_words(uint32_t character, const void *context)
{
    (void)context;
    return unicode_is_word(character) ? 1 : unicode_is_space(character) ? 0 : 2;
}

static bool match_literal(const struct pre_tokenizer_step *step, const char *text, struct span piece,
                          struct match_list *list)
{
    size_t n = strlen(step->literal), done = piece.start;
    const char *place;
    while ((place = memmem(text + done, piece.end - done, step->literal, n)) != NULL) {
        size_t start = (size_t)(place - text);
        if ((start > done && !match_list_add(list, done, start, false)) ||
            !match_list_add(list, start, start + n, true))
            return false;
        done = start + n;
    }
    return done == piece.end || match_list_add(list, done, piece.end, false);
}

/* An empty match at the end of the one before is passed over, as regular expression libraries do. */
static enum status match_regex(const struct pre_tokenizer_step *step, pcre2_match_data *room,
                               const char *text, struct span piece, struct match_list *list,
                               struct error *error)
{
    const char *base = text + piece.start;
    size_t size = piece.end - piece.start, done = 0, from = 0, last_end = SIZE_MAX;
    while (from <= size) {
        size_t start = 0, end = 0;
        bool found = false, added = true;
        enum status status = regex_find(step->regex, room, base, size, from, &found, &start, &end, error);
        if (status != STATUS_OK)
            return status;
        if (!found)
            break;
        if (start < end || start != last_end) {
            added = (start == done || match_list_add(list, piece.start + done, piece.start + start, false)) &&
                    match_list_add(list, piece.start + start, piece.start + end, true);
            done = last_end = end;
        }
        if (!added)
            return no_memory(error);
        from = end;
        if (start == end) { /* go on behind the next character */
            from++;
            while (from < size && ((unsigned char)base[from] & 0xC0) == 0x80)
                from++;
        }
    }
    return done == size || match_list_add(list, piece.start + done, piece.end, false) ? STATUS_OK
                                                                                      : no_memory(error);
}

static enum status find_matches(const struct pre_tokenizer_step *step, pcre2_match_data *room,
                                const char *text, struct span piece, struct match_list *list,
                                struct error *error)
{
    bool done = true;
    switch (step->kind) {
    case PRE_REGEX:
        return match_regex(step, room, text, piece, list, error);
    case PRE_CHARACTERS:
        done = match_classes(text, piece, class_by_property, step, true, list);
        break;
    case PRE_WORDS:
        done = match_classes(text, piece, class_of_words, step, false, list);
        break;
    default:
        done = match_literal(step, text, piece, list);
        break;
    }
    return done ? STATUS_OK : no_memory(error);
}

/* ---- the steps ---- */

static bool run_rules(const struct split_rules *rules, struct span piece, struct pieces *to)
{
    const char *base = to->text.bytes + piece.start;
    size_t size = piece.end - piece.start;
    for (size_t start = 0, end; start < size; start = end) {
        end = split_rules_next(rules, base, size, start);
        if (!pieces_add(to, piece.start + start, piece.start + end))
            return false;
    }
    return true;
}

static enum status run_split(const struct pre_tokenizer_step *step, const struct pieces *from,
                             struct pieces *to, struct error *error)
{
    struct match_list list = {0};
    pcre2_match_data *room = step->regex ? regex_room() : NULL;
    enum status status = step->regex && !room ? no_memory(error) : STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < from->n; i++) {
        list.n = 0;
        status = find_matches(step, room, to->text.bytes, from->spans[i], &list, error);
        for (size_t j = 0; step->invert && j < list.n; j++)
            list.items[j].is_match = !list.items[j].is_match;
        if (status == STATUS_OK && !pieces_add_matches(to, &list, step->behavior))
            status = no_memory(error);
    }
    pcre2_match_data_free(room);
    free(list.items);
    return status;
}

/* Writes the piece with the replacement for every space; `prepend`: and one before it, unless there is one.
 */
static void append_metaspaced(const char *piece, size_t size, const char *replacement, bool prepend,
                              struct text_buffer *out)
{
    size_t n = strlen(replacement);
    bool has_one = size && (piece[0] == ' ' || (size >= n && !memcmp(piece, replacement, n)));
    if (prepend && !has_one)
        text_buffer_append(out, replacement, n);
    for (size_t at = 0, end; at < size; at = end + 1) {
        const char *space = memchr(piece + at, ' ', size - at);
        end = space ? (size_t)(space - piece) : size;
        text_buffer_append(out, piece + at, end - at);
        if (space)
            text_buffer_append(out, replacement, n);
    }
}

static enum status run_metaspace(const struct pre_tokenizer_step *step, const struct pieces *from,
                                 struct pieces *to, struct error *error)
{
    struct match_list list = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < from->n; i++) {
        struct span piece = from->spans[i];
        bool prepend = step->prepend == PREPEND_ALWAYS ||
                       (step->prepend == PREPEND_FIRST && from->at_start && piece.start == 0);
        struct span now = {to->text.n, 0};
        append_metaspaced(from->text.bytes + piece.start, piece.end - piece.start, step->literal, prepend,
                          &to->text);
        now.end = to->text.n;
        status = text_buffer_check(&to->text, error);
        list.n = 0;
        bool done =
            status == STATUS_OK && (step->splits ? match_literal(step, to->text.bytes, now, &list) &&
                                                       pieces_add_matches(to, &list, SPLIT_MERGED_WITH_NEXT)
                                                 : pieces_add(to, now.start, now.end));
        if (status == STATUS_OK && !done)
            status = no_memory(error);
    }
    free(list.items);
    return status;
}

static enum status run_prefix_space(const struct pieces *from, struct pieces *to, struct error *error)
{
    for (size_t i = 0; i < from->n; i++) {
        struct span piece = from->spans[i];
        size_t start = to->text.n;
        if (from->text.bytes[piece.start] != ' ')
            text_buffer_append(&to->text, " ", 1);
        text_buffer_append(&to->text, from->text.bytes + piece.start, piece.end - piece.start);
        if (!pieces_add(to, start, to->text.n))
            return no_memory(error);
    }
    return text_buffer_check(&to->text, error);
}

/* Steps behind ByteLevel see the byte alphabet; the model sees bytes again. */
static enum status run_alphabet(bool forth, const struct pieces *from, struct pieces *to, struct error *error)
{
    for (size_t i = 0; i < from->n; i++) {
        const char *piece = from->text.bytes + from->spans[i].start;
        size_t size = from->spans[i].end - from->spans[i].start, start = to->text.n;
        for (size_t at = 0; at < size;) {
            uint32_t character = (unsigned char)piece[at];
            int n = forth ? 1 : utf8_read(piece + at, size - at, &character);
            char byte = (char)byte_level_byte(character);
            if (forth)
                text_buffer_append_character(&to->text, byte_level_character((unsigned char)piece[at]));
            else
                text_buffer_append(&to->text, &byte, 1);
            at += (size_t)(n ? n : 1);
        }
        if (!pieces_add(to, start, to->text.n))
            return no_memory(error);
    }
    return text_buffer_check(&to->text, error);
}

enum status pre_tokenizer_step_run(const struct pre_tokenizer_step *step, const struct pieces *from,
                                   struct pieces *to, struct error *error)
{
    to->at_start = from->at_start;
    if (step->kind == PRE_ALPHABET || step->kind == PRE_BYTES)
        return run_alphabet(step->kind == PRE_ALPHABET, from, to, error);
    if (step->kind == PRE_METASPACE)
        return run_metaspace(step, from, to, error);
    if (step->kind == PRE_PREFIX_SPACE)
        return run_prefix_space(from, to, error);
    text_buffer_append(&to->text, from->text.bytes, from->text.n);
    enum status status = text_buffer_check(&to->text, error);
    if (status != STATUS_OK || step->kind != PRE_RULES)
        return status == STATUS_OK ? run_split(step, from, to, error) : status;
    for (size_t i = 0; i < from->n; i++) {
        if (!run_rules(step->rules, from->spans[i], to))
            return no_memory(error);
    }
    return STATUS_OK;
}
