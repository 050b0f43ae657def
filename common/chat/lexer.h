#ifndef MILLRACE_COMMON_CHAT_LEXER_H
#define MILLRACE_COMMON_CHAT_LEXER_H

#include "common/chat/value.h"

/*
 * A template cut into tokens, as Jinja does with trim_blocks and lstrip_blocks: the first line break behind a
 * block goes, and the blanks between the start of a line and a block; "-" takes all white space on its side,
 * "+" leaves it. Comments are dropped. One line break at the end of the template goes too.
 */
enum token_kind {
    TOKEN_DATA,        /* text as it stands */
    TOKEN_PRINT_BEGIN, /* {{ */
    TOKEN_PRINT_END,
    TOKEN_BLOCK_BEGIN, /* {% */
    TOKEN_BLOCK_END,
    TOKEN_NAME,
    TOKEN_TEXT, /* a quoted text; its escapes are undone */
    TOKEN_INTEGER,
    TOKEN_FLOAT,
    TOKEN_SIGN, /* an operator or a bracket: `text` */
    TOKEN_END,
};

struct token {
    enum token_kind kind;
    struct text text;
    int64_t integer;
    double number;
    int line;
};

/* All tokens of a template, TOKEN_END last, in the machine's memory. NULL after an error. */
struct token *lexer_run(struct machine *machine, const char *source, size_t size);

#endif
