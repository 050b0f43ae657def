#include "common/tokenizer/split.h"

#include <stdint.h>
#include <string.h>

#include "common/tokenizer/unicode.h"
#include "common/utf8.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORD "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define REST " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

const struct split_rules split_gpt2 = {
    .source = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"};

/* The last one is LLaDA's: possessive where it makes no difference, and \s*[\r\n] ends where \s*[\r\n]+ does.
 */
static const struct split_rules others[] = {
    {CONTRACTIONS "|" WORD "|\\p{N}|" REST, true, true, 1, true},
    {CONTRACTIONS "|" WORD "|\\p{N}{1,3}|" REST, true, true, 3, true},
    {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| "
     "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|"
     "\\s+(?!\\S)|\\s+",
     true, true, 1, true},
};

const struct split_rules *split_rules_find(const char *source)
{
    if (!strcmp(source, split_gpt2.source))
        return &split_gpt2;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (!strcmp(source, others[i].source))
            return &others[i];
    }
    return NULL;
}

struct reader {
    const char *text;
    size_t size;
};

/* The class of the character at `at`, and where it ends. At the end of the text: -1. */
static int class_at(const struct reader *reader, size_t at, size_t *end)
{
    if (at >= reader->size)
        return -1;
    uint32_t character = (unsigned char)reader->text[at];
    *end = at + 1;
    if (character >= 0x80) {
        int n = utf8_read(reader->text + at, reader->size - at, &character);
        *end = at + (size_t)(n ? n : 1);
    }
    return (int)unicode_class(character);
}

static size_t skip_class(const struct reader *reader, size_t at, int class)
{
    size_t end = at;
    while (class_at(reader, at, &end) == class)
        at = end;
    return at;
}

static bool is_line_break(const struct reader *reader, size_t at)
{
    return at < reader->size && (reader->text[at] == '\n' || reader->text[at] == '\r');
}

static char letter_at(const struct reader *reader, size_t at, bool any_case)
{
    char c = at < reader->size ? reader->text[at] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* 's 't 'm 'd 're 've 'll. In any case, U+017F is an s too. Returns `start` for none. */
static size_t contraction(const struct split_rules *rules, const struct reader *reader, size_t start)
{
    if (reader->text[start] != '\'')
        return start;
    char first = letter_at(reader, start + 1, rules->any_case),
         second = letter_at(reader, start + 2, rules->any_case);
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return start + 2;
    if (((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l'))
        return start + 3;
    if (rules->any_case && reader->size - start > 2 && !memcmp(reader->text + start + 1, "\xC5\xBF", 2))
        return start + 3;
    return start;
}

static size_t word(const struct split_rules *rules, const struct reader *reader, size_t start)
{
    size_t end = start, body = start;
    int class = class_at(reader, start, &end);
    bool joins = rules->any_sign_before
                     ? class != UNICODE_LETTER && class != UNICODE_NUMBER && !is_line_break(reader, start)
                     : reader->text[start] == ' ';
    if (joins)
        body = end;
    end = skip_class(reader, body, UNICODE_LETTER);
    return end > body ? end : start;
}

static size_t number(const struct split_rules *rules, const struct reader *reader, size_t start)
{
    size_t at = start, end = start;
    if (rules->digits == 0) {
        at += reader->text[start] == ' ';
        end = skip_class(reader, at, UNICODE_NUMBER);
        return end > at ? end : start;
    }
    for (int i = 0; i < rules->digits && class_at(reader, at, &end) == UNICODE_NUMBER; i++)
        at = end;
    return at;
}

static size_t signs(const struct split_rules *rules, const struct reader *reader, size_t start)
{
    size_t at = start + (reader->text[start] == ' ');
    size_t end = skip_class(reader, at, UNICODE_OTHER);
    if (end == at)
        return start;
    while (rules->line_breaks && is_line_break(reader, end))
        end++;
    return end;
}

/* White space up to its last line break; else all but the last character, which belongs to what follows. */
static size_t white_space(const struct split_rules *rules, const struct reader *reader, size_t start)
{
    size_t at = start, end = start, last = start, after_break = start;
    while (class_at(reader, at, &end) == UNICODE_SPACE) {
        if (is_line_break(reader, at))
            after_break = end;
        last = at;
        at = end;
    }
    if (rules->line_breaks && after_break > start)
        return after_break;
    return at < reader->size && last > start ? last : at;
}

size_t split_rules_next(const struct split_rules *rules, const char *text, size_t size_bytes, size_t start)
{
    const struct reader reader = {text, size_bytes};
    size_t end = contraction(rules, &reader, start);
    if (end == start)
        end = word(rules, &reader, start);
    if (end == start)
        end = number(rules, &reader, start);
    if (end == start)
        end = signs(rules, &reader, start);
    return end > start ? end : white_space(rules, &reader, start);
}
