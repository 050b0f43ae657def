/* Oniguruma's Ruby syntax → PCRE2's, one construct after the other. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/tokenizer/regex.h"
#include "common/tokenizer/unicode.h"
#include "common/utf8.h"

/* White space is the property White_Space. PCRE2's \s also has U+180E, which left that property in
 * Unicode 6.3. */
#define SPACE \
    "\\t-\\r\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"

enum { GROUPS_MAX = 64, TRANSLATED_MAX = 60000 };

struct translation {
    const char *pattern;
    size_t size, at;
    struct text_buffer *out;
    size_t atom;               /* where in `out` the last atom begins: what a quantifier applies to */
    size_t groups[GROUPS_MAX]; /* where the open groups begin */
    int n_groups;
    bool in_class;
    int n_inner; /* brackets within the class */
    struct error *error;
};

static char peek(const struct translation *t, size_t ahead)
{
    return t->at + ahead < t->size ? t->pattern[t->at + ahead] : '\0';
}

static bool begins(const struct translation *t, const char *text)
{
    size_t n = strlen(text);
    return t->size - t->at >= n && !memcmp(t->pattern + t->at, text, n);
}

static enum status refuse(struct translation *t, const char *what)
{
    return error_set(t->error, STATUS_INVALID_ARGUMENT, "%s (at byte %zu) is not supported", what, t->at);
}

static void begin_atom(struct translation *t)
{
    if (!t->in_class)
        t->atom = t->out->n;
}

/* Takes `n` bytes of the pattern as they are. */
static enum status take(struct translation *t, size_t n)
{
    text_buffer_append(t->out, t->pattern + t->at, n);
    t->at += n;
    return STATUS_OK;
}

/* The items that belong to a general category ("L", "Lu") but are younger than the installed PCRE2 may be. */
static void append_later(struct text_buffer *out, const char *category)
{
    const struct unicode_range *range;
    for (size_t i = 0; (range = unicode_later(i)) != NULL; i++) {
        if (strncmp(range->category, category, strlen(category)) != 0)
            continue;
        if (range->first == range->last)
            text_buffer_append_format(out, "\\x{%X}", range->first);
        else
            text_buffer_append_format(out, "\\x{%X}-\\x{%X}", range->first, range->last);
    }
}

static bool is_category(const char *name)
{
    static const char *const known[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc",
                                        "Me", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps",
                                        "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So",
                                        "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", NULL};
    for (const char *const *k = known; *k; k++) {
        if (!strcmp(*k, name))
            return true;
    }
    return false;
}

/* The items of one property, for the inside of brackets. A name that is no category is a script's. */
static void append_property(struct text_buffer *out, const char *name)
{
    if (!is_category(name)) {
        text_buffer_append_format(out, "\\p{sc:%.40s}", name);
        return;
    }
    text_buffer_append_format(out, "\\p{%s}", name);
    append_later(out, name);
}

/* Brackets around items, unless we are inside some. */
static enum status append_items(struct translation *t, bool negated,
                                void (*append)(struct text_buffer *, const char *), const char *argument)
{
    if (t->in_class && negated)
        return refuse(t, "a negated class within brackets");
    begin_atom(t);
    if (!t->in_class)
        text_buffer_append_string(t->out, negated ? "[^" : "[");
    append(t->out, argument);
    if (!t->in_class)
        text_buffer_append_string(t->out, "]");
    return STATUS_OK;
}

/* \p{Name}, \P{Name}, \p{^Name} */
static enum status property(struct translation *t)
{
    bool negated = peek(t, 1) == 'P';
    const char *open = t->pattern + t->at + 2;
    const char *close = peek(t, 2) == '{' ? memchr(open, '}', t->size - t->at - 2) : NULL;
    char name[48];
    if (!close || close - open < 2 || close - open > 40)
        return refuse(t, "\\p without {Name}");
    open++;
    if (*open == '^') {
        negated = !negated;
        open++;
    }
    snprintf(name, sizeof name, "%.*s", (int)(close - open), open);
    for (const char *c = name; *c; c++) {
        if (!isalnum((unsigned char)*c) && *c != '_')
            return refuse(t, "this property");
    }
    enum status status = append_items(t, negated, append_property, name);
    t->at = (size_t)(close - t->pattern) + 1;
    return status;
}

static void append_spaces(struct text_buffer *out, const char *unused)
{
    (void)unused;
    text_buffer_append_string(out, SPACE);
}

static void append_digits(struct text_buffer *out, const char *unused)
{
    (void)unused;
    append_property(out, "Nd");
}

static void append_word(struct text_buffer *out, const char *unused)
{
    (void)unused;
    text_buffer_append_string(out, "\\p{Alphabetic}\\p{Pc}");
    append_property(out, "M");
    append_property(out, "Nd");
    append_later(out, "L");
}

/* \s \d \w and their negations. PCRE2's \S lacks U+180E alone, so within brackets it can be put right. */
static enum status shorthand(struct translation *t, char letter)
{
    enum status status;
    if (letter == 'S' && t->in_class) {
        text_buffer_append_string(t->out, "\\S\\x{180E}");
        status = STATUS_OK;
    } else {
        char kind = (char)tolower((unsigned char)letter);
        status = append_items(t, isupper((unsigned char)letter),
                              kind == 's'   ? append_spaces
                              : kind == 'd' ? append_digits
                                            : append_word,
                              NULL);
    }
    t->at += 2;
    return status;
}

/* \uHHHH */
static enum status four_digits(struct translation *t)
{
    for (size_t i = 2; i < 6; i++) {
        if (!isxdigit((unsigned char)peek(t, i)))
            return refuse(t, "\\u without four hexadecimal digits");
    }
    begin_atom(t);
    text_buffer_append_format(t->out, "\\x{%.4s}", t->pattern + t->at + 2);
    t->at += 6;
    return STATUS_OK;
}

static enum status escape(struct translation *t)
{
    char letter = peek(t, 1), what[] = "\\?";
    if (letter == '\0')
        return refuse(t, "a backslash at the end");
    if (letter == 'p' || letter == 'P')
        return property(t);
    if (strchr("sSdDwW", letter))
        return shorthand(t, letter);
    if (letter == 'u')
        return four_digits(t);
    begin_atom(t);
    if (letter == 'v') { /* a vertical tab; PCRE2's is a class */
        text_buffer_append_string(t->out, "\\x0B");
        t->at += 2;
        return STATUS_OK;
    }
    if (!isalnum((unsigned char)letter) || strchr("rntfaex", letter) ||
        (strchr("Az", letter) && !t->in_class))
        return take(t, (unsigned char)letter < 0x80 ? 2 : 1);
    what[1] = letter;
    return refuse(t, what);
}

static enum status open_group(struct translation *t)
{
    static const char *const plain[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:", NULL};
    if (t->n_groups == GROUPS_MAX)
        return refuse(t, "a group this deep");
    t->groups[t->n_groups++] = t->out->n;
    if (t->at == 0 && begins(t, "(?i)")) { /* at the beginning both take it for the whole pattern */
        t->n_groups--;
        return take(t, 4);
    }
    if (peek(t, 1) != '?')
        return take(t, 1);
    for (const char *const *p = plain; *p; p++) {
        if (begins(t, *p))
            return take(t, strlen(*p));
    }
    return refuse(t, "this kind of group");
}

/* {n} {n,} {,m} {n,m}, or an ordinary brace. Ruby's {n,m}+ repeats the repetition and is not possessive. */
static enum status interval(struct translation *t)
{
    size_t n = 1, first, last;
    while (isdigit((unsigned char)peek(t, n)))
        n++;
    first = n - 1;
    bool comma = peek(t, n) == ',';
    last = n += comma;
    while (isdigit((unsigned char)peek(t, n)))
        n++;
    last = n - last;
    if (peek(t, n) != '}' || (!first && !(comma && last))) {
        begin_atom(t);
        text_buffer_append_string(t->out, "\\{");
        t->at++;
        return STATUS_OK;
    }
    if (peek(t, n + 1) == '?' && !comma)
        return refuse(t, "{n}?");
    bool again = peek(t, n + 1) == '+';
    struct text_buffer atom = {0};
    text_buffer_append(&atom, t->out->bytes + t->atom, t->out->n - t->atom);
    t->out->n = t->atom;
    text_buffer_append_string(t->out, again ? "(?:" : "");
    text_buffer_append(t->out, atom.bytes, atom.n);
    text_buffer_append_string(t->out, first ? "{" : "{0");
    text_buffer_append(t->out, t->pattern + t->at + 1, n);
    text_buffer_append_string(t->out, again ? ")" : "");
    t->out->failed |= atom.failed;
    text_buffer_release(&atom);
    t->at += n + 1;
    return STATUS_OK;
}

/* Brackets within brackets are a union: they can go, unless they negate. */
static enum status in_brackets(struct translation *t)
{
    char c = peek(t, 0);
    if (begins(t, "&&"))
        return refuse(t, "&& within brackets");
    if (c == '[' && (peek(t, 1) == ':' || peek(t, 1) == '^' || peek(t, 1) == ']'))
        return refuse(t, "[:, [^ or [] within brackets");
    if (c == '[' || (c == ']' && t->n_inner > 0)) {
        t->n_inner += c == '[' ? 1 : -1;
        t->at++;
        return STATUS_OK;
    }
    t->in_class = c != ']';
    return take(t, 1);
}

static enum status open_brackets(struct translation *t)
{
    begin_atom(t);
    t->in_class = true;
    size_t n = peek(t, 1) == '^' ? 2 : 1;
    if (peek(t, n) == ']')
        return refuse(t, "] as the first of a class");
    return take(t, n);
}

static enum status step(struct translation *t)
{
    char c = peek(t, 0);
    if (c == '\\')
        return escape(t);
    if (t->in_class)
        return in_brackets(t);
    switch (c) {
    case '[':
        return open_brackets(t);
    case '(':
        return open_group(t);
    case ')':
        if (t->n_groups == 0)
            return refuse(t, ") without (");
        t->atom = t->groups[--t->n_groups];
        return take(t, 1);
    case '{':
        return interval(t);
    case '*':
    case '+':
    case '?':
    case '|':
        return take(t, 1);
    case '\0':
        return refuse(t, "a NUL");
    default:
        if (((unsigned char)c & 0xC0) != 0x80)
            begin_atom(t);
        return take(t, 1);
    }
}

enum status regex_translate(const char *pattern, size_t size_bytes, struct text_buffer *out,
                            struct error *error)
{
    struct translation t = {.pattern = pattern, .size = size_bytes, .out = out, .error = error};
    if (size_bytes == 0 || size_bytes > REGEX_BYTES_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "has %zu bytes; 1 to %d are allowed", size_bytes,
                         REGEX_BYTES_MAX);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && t.at < t.size) {
        status = step(&t);
        if (status == STATUS_OK && out->n > TRANSLATED_MAX)
            status = refuse(&t, "a pattern with so many classes");
    }
    return status == STATUS_OK ? text_buffer_check(out, error) : status;
}
