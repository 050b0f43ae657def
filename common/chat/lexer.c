#include "common/chat/lexer.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/chat/text_builder.h"
#include "common/utf8.h"

struct lexer {
    struct machine *machine;
    const char *source;
    size_t size, at;
    struct token *tokens;
    size_t n, capacity;
    struct token lost;  /* takes what there is no memory for */
    bool line_starting; /* what came before ended a line, or is the beginning */
};

static struct token *add(struct lexer *lexer, enum token_kind kind, struct text text)
{
    if (lexer->n == lexer->capacity) {
        size_t capacity = lexer->capacity * 2 + 64;
        struct token *grown = bounded_take(lexer->machine, capacity * sizeof *grown);
        if (!grown)
            return &lexer->lost;
        if (lexer->n)
            memcpy(grown, lexer->tokens, lexer->n * sizeof *grown);
        lexer->tokens = grown;
        lexer->capacity = capacity;
    }
    struct token *token = &lexer->tokens[lexer->n++];
    *token = (struct token){.kind = kind, .text = text, .line = lexer->machine->line};
    return token;
}

static struct text source_part(const struct lexer *lexer, size_t start, size_t end)
{
    return (struct text){lexer->source + start, end - start, NULL};
}

static char peek(const struct lexer *lexer, size_t ahead)
{
    return lexer->at + ahead < lexer->size ? lexer->source[lexer->at + ahead] : '\0';
}

/* Goes on by n bytes, and counts lines. */
static void skip(struct lexer *lexer, size_t n)
{
    for (; n > 0 && lexer->at < lexer->size; n--)
        lexer->machine->line += lexer->source[lexer->at++] == '\n';
}

static void skip_spaces(struct lexer *lexer)
{
    struct text rest = source_part(lexer, lexer->at, lexer->size);
    skip(lexer, rest.size - text_strip(rest, text_of(""), true, false).size);
}

/* Behind a block or a comment: "-" takes white space, "+" leaves all, else one line break goes. */
static void end_tag(struct lexer *lexer, char sign, bool trims)
{
    if (sign == '-')
        skip_spaces(lexer);
    else if (trims && sign != '+' && peek(lexer, 0) == '\n')
        skip(lexer, 1);
    lexer->line_starting = lexer->at > 0 && lexer->source[lexer->at - 1] == '\n';
}

/* ---- the inside of {{ }} and {% %} ---- */

static void add_escape(struct lexer *lexer, struct text_builder *out)
{
    static const char letters[] = "ntrabfv0", bytes[] = "\n\t\r\a\b\f\v";
    char letter = peek(lexer, 1), written[4];
    const char *place = letter ? strchr(letters, letter) : NULL;
    size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (digits) {
        char hex[9] = "";
        for (size_t i = 0; i < digits && isxdigit((unsigned char)peek(lexer, 2 + i)); i++)
            hex[i] = peek(lexer, 2 + i);
        unsigned long character = strtoul(hex, NULL, 16);
        if (strlen(hex) != digits || character > 0x10FFFF || (character >= 0xD800 && character < 0xE000))
            bounded_fail(lexer->machine, "a wrong \\%c in a text", letter);
        else
            builder_add_bytes(out, written, (size_t)utf8_write((uint32_t)character, written), 0);
        skip(lexer, 2 + digits);
        return;
    }
    if (letter == 'N' || (letter >= '1' && letter <= '7') ||
        (letter == '0' && isdigit((unsigned char)peek(lexer, 2))))
        bounded_fail(lexer->machine, "\\%c in a text is not supported", letter);
    if (place)
        builder_add_bytes(out, letter == '0' ? "" : bytes + (place - letters), 1, 0);
    else if (letter == '\\' || letter == '\'' || letter == '"')
        builder_add_bytes(out, &letter, 1, 0);
    else if (letter != '\n') /* an unknown escape stands as it is */
        builder_add(out, source_part(lexer, lexer->at, lexer->at + 2));
    skip(lexer, 2);
}

static void take_text(struct lexer *lexer)
{
    struct text_builder out = {.machine = lexer->machine};
    char quote = peek(lexer, 0);
    skip(lexer, 1);
    while (lexer->at < lexer->size && peek(lexer, 0) != quote && !bounded_failed(lexer->machine)) {
        size_t start = lexer->at;
        while (lexer->at < lexer->size && peek(lexer, 0) != quote && peek(lexer, 0) != '\\')
            skip(lexer, 1);
        builder_add(&out, source_part(lexer, start, lexer->at));
        if (lexer->at + 1 < lexer->size && peek(lexer, 0) == '\\')
            add_escape(lexer, &out);
        else if (peek(lexer, 0) == '\\')
            skip(lexer, 1);
    }
    if (lexer->at >= lexer->size)
        bounded_fail(lexer->machine, "a text without its closing quote");
    skip(lexer, 1);
    add(lexer, TOKEN_TEXT, builder_text(&out));
}

static void take_number(struct lexer *lexer)
{
    char digits[64];
    size_t n = 0;
    bool is_float = false;
    while (isdigit((unsigned char)peek(lexer, 0)) || peek(lexer, 0) == '_' ||
           (peek(lexer, 0) == '.' && !is_float && isdigit((unsigned char)peek(lexer, 1))) ||
           ((peek(lexer, 0) == 'e' || peek(lexer, 0) == 'E') && isdigit((unsigned char)peek(lexer, 1)))) {
        char c = peek(lexer, 0);
        is_float |= c == '.' || c == 'e' || c == 'E';
        if (c != '_' && n < sizeof digits - 1)
            digits[n++] = c;
        skip(lexer, 1);
    }
    digits[n] = '\0';
    errno = 0;
    struct token *token = add(lexer, is_float ? TOKEN_FLOAT : TOKEN_INTEGER, text_of(""));
    if (is_float)
        token->number = strtod(digits, NULL);
    else
        token->integer = strtoll(digits, NULL, 10);
    if (errno || isalpha((unsigned char)peek(lexer, 0)))
        bounded_fail(lexer->machine, "a number that is not supported");
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static void take_sign(struct lexer *lexer)
{
    static const char *const signs[] = {"**", "//", "==", "!=", ">=", "<=", NULL};
    for (const char *const *sign = signs; *sign; sign++) {
        if (peek(lexer, 0) == (*sign)[0] && peek(lexer, 1) == (*sign)[1]) {
            add(lexer, TOKEN_SIGN, text_of(*sign));
            skip(lexer, 2);
            return;
        }
    }
    if (!peek(lexer, 0) || !strchr("+-*/%~<>=|.,:()[]{}", peek(lexer, 0)))
        bounded_fail(lexer->machine, "the character '%.1s' is not expected", lexer->source + lexer->at);
    add(lexer, TOKEN_SIGN, source_part(lexer, lexer->at, lexer->at + 1));
    skip(lexer, 1);
}

/* Takes one token, or the end of the tag: true. Brackets hide what looks like an end. */
static bool take_inner(struct lexer *lexer, const char *end, bool block, int *depth)
{
    char c = peek(lexer, 0), sign = c == '-' || (c == '+' && block) ? c : '\0';
    if (*depth == 0 && !strncmp(lexer->source + lexer->at + (sign != '\0'), end, 2) &&
        lexer->at + 2 + (sign != '\0') <= lexer->size) {
        add(lexer, block ? TOKEN_BLOCK_END : TOKEN_PRINT_END, text_of(end));
        skip(lexer, 2 + (sign != '\0'));
        end_tag(lexer, sign, block);
        return true;
    }
    if (c == '\'' || c == '"') {
        take_text(lexer);
    } else if (isdigit((unsigned char)c)) {
        take_number(lexer);
    } else if (is_name(c)) {
        size_t start = lexer->at;
        while (is_name(peek(lexer, 0)))
            skip(lexer, 1);
        add(lexer, TOKEN_NAME, source_part(lexer, start, lexer->at));
    } else {
        *depth += c == '(' || c == '[' || c == '{';
        *depth -= c == ')' || c == ']' || c == '}';
        take_sign(lexer);
    }
    return false;
}

static void take_tag(struct lexer *lexer, bool block)
{
    int depth = 0;
    bool ended = false;
    add(lexer, block ? TOKEN_BLOCK_BEGIN : TOKEN_PRINT_BEGIN, text_of(""));
    skip(lexer, 2);
    if (peek(lexer, 0) == '-' || peek(lexer, 0) == '+')
        skip(lexer, 1);
    while (!ended && !bounded_failed(lexer->machine)) {
        skip_spaces(lexer);
        if (lexer->at >= lexer->size)
            bounded_fail(lexer->machine, "a tag is not closed");
        else
            ended = take_inner(lexer, block ? "%}" : "}}", block, &depth);
    }
}

static void take_comment(struct lexer *lexer)
{
    const char *start = lexer->source + lexer->at;
    const char *end = memmem(start + 2, lexer->size - lexer->at - 2, "#}", 2);
    if (!end) {
        bounded_fail(lexer->machine, "a comment is not closed");
        return;
    }
    char sign = end[-1] == '-' || end[-1] == '+' ? end[-1] : '\0';
    skip(lexer, (size_t)(end - start) + 2);
    end_tag(lexer, sign, true);
}

/* ---- the outside ---- */

/* Where the next tag begins, or the end. */
static size_t next_tag(const struct lexer *lexer)
{
    for (size_t at = lexer->at; at + 1 < lexer->size; at++) {
        char next = lexer->source[at + 1];
        if (lexer->source[at] == '{' && (next == '{' || next == '%' || next == '#'))
            return at;
    }
    return lexer->size;
}

/* The text before a tag, without the white space that the tag takes. */
static void take_data(struct lexer *lexer, size_t tag)
{
    struct text data = source_part(lexer, lexer->at, tag);
    char kind = tag < lexer->size ? lexer->source[tag + 1] : '\0',
         sign = tag + 2 < lexer->size ? lexer->source[tag + 2] : '\0';
    if (kind && sign == '-') {
        data = text_strip(data, text_of(""), false, true);
    } else if (kind && kind != '{' && sign != '+') {
        size_t start = data.size;
        while (start > 0 && data.bytes[start - 1] != '\n')
            start--;
        struct text line = text_part(data, start, data.size);
        if ((start > 0 || lexer->line_starting) && text_strip(line, text_of(""), true, false).size == 0)
            data.size = start;
    }
    if (data.size)
        add(lexer, TOKEN_DATA, data);
    if (tag > lexer->at)
        lexer->line_starting = lexer->source[tag - 1] == '\n';
    skip(lexer, tag - lexer->at);
}

/* Line breaks of all systems become \n; one at the end goes. */
static struct text normalize(struct machine *machine, const char *source, size_t size)
{
    char *copy = bounded_take(machine, size);
    size_t n = 0;
    for (size_t i = 0; copy && i < size; i++) {
        if (source[i] == '\r' && i + 1 < size && source[i + 1] == '\n')
            continue;
        copy[n++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (n && copy[n - 1] == '\n')
        n--;
    if (copy)
        copy[n] = '\0';
    return (struct text){copy, n, NULL};
}

struct token *lexer_run(struct machine *machine, const char *source, size_t size)
{
    machine->line = 1;
    struct text text = normalize(machine, source, size);
    struct lexer lexer = {.machine = machine, .source = text.bytes, .size = text.size, .line_starting = true};
    while (lexer.at < lexer.size && !bounded_failed(machine)) {
        size_t tag = next_tag(&lexer);
        take_data(&lexer, tag);
        if (tag == lexer.size)
            break;
        if (lexer.source[tag + 1] == '#')
            take_comment(&lexer);
        else
            take_tag(&lexer, lexer.source[tag + 1] == '%');
    }
    add(&lexer, TOKEN_END, text_of(""));
    return bounded_failed(machine) ? NULL : lexer.tokens;
}
