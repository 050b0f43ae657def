#ifndef MILLRACE_COMMON_CHAT_PARSER_H
#define MILLRACE_COMMON_CHAT_PARSER_H

#include "common/chat/ast.h"
#include "common/chat/lexer.h"

/* Going through the tokens. */
struct parser {
    struct machine *machine;
    const struct token *tokens;
    size_t at;
    int depth;        /* of nested expressions and statements */
    int loops;        /* open for statements */
    struct node lost; /* stands for what there was no memory for */
};

/* The statements of a whole template; NULL where there are none, or after an error. */
struct node *parser_run(struct machine *machine, const struct token *tokens);

/* ---- for parser_expression.c and parser.c ---- */

const struct token *parser_token(const struct parser *parser);
bool parser_is_sign(const struct parser *parser, const char *sign);
bool parser_is_name(const struct parser *parser, const char *name);
bool parser_take_sign(struct parser *parser, const char *sign); /* goes on if it is there */
bool parser_take_name(struct parser *parser, const char *name);
void parser_need_sign(struct parser *parser, const char *sign);
void parser_need_name(struct parser *parser, const char *name);
void parser_fail(struct parser *parser, const char *wanted);
const char *parser_any_name(struct parser *parser); /* a copy; "" after an error */
/* Never NULL: after an error it is a node that is thrown away. */
struct node *parser_node(struct parser *parser, enum node_kind kind);
void parser_append(struct node ***end, struct node *node);
/* Going deeper; false after an error or too deep. parser_leave comes after it in any case. */
bool parser_enter(struct parser *parser);
void parser_leave(struct parser *parser);

struct node *parser_expression(struct parser *parser);
/* One expression, or several with commas: a tuple. */
struct node *parser_tuple(struct parser *parser);
/* An expression that ends before `if` and `recursive`, as what a for goes through. */
struct node *parser_iterable(struct parser *parser);
/* | filter | filter: a chain around `operand`. */
struct node *parser_filters(struct parser *parser, struct node *operand);

#endif
