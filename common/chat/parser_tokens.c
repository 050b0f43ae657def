/* What both parts of the parser use. */
#include <string.h>

#include "common/chat/parser.h"
#include "common/chat/text_builder.h"

const struct token *parser_token(const struct parser *parser)
{
    return &parser->tokens[parser->at];
}

static void advance(struct parser *parser)
{
    if (parser_token(parser)->kind != TOKEN_END)
        parser->at++;
    parser->machine->line = parser_token(parser)->line;
}

bool parser_is_sign(const struct parser *parser, const char *sign)
{
    return parser_token(parser)->kind == TOKEN_SIGN && text_is(parser_token(parser)->text, sign);
}

bool parser_is_name(const struct parser *parser, const char *name)
{
    return parser_token(parser)->kind == TOKEN_NAME && text_is(parser_token(parser)->text, name);
}

bool parser_take_sign(struct parser *parser, const char *sign)
{
    bool is = parser_is_sign(parser, sign);
    if (is)
        advance(parser);
    return is;
}

bool parser_take_name(struct parser *parser, const char *name)
{
    bool is = parser_is_name(parser, name);
    if (is)
        advance(parser);
    return is;
}

void parser_fail(struct parser *parser, const char *wanted)
{
    static const char *const kinds[] = {"text",          "{{",       "}}",       "{%", "%}",     NULL,
                                        "a quoted text", "a number", "a number", NULL, "the end"};
    const struct token *token = parser_token(parser);
    const char *kind = kinds[token->kind];
    bounded_fail(parser->machine, "%s is expected, not %.*s", wanted, kind ? 40 : (int)token->text.size,
                 kind ? kind : token->text.bytes);
}

void parser_need_sign(struct parser *parser, const char *sign)
{
    if (!parser_take_sign(parser, sign))
        parser_fail(parser, sign);
}

void parser_need_name(struct parser *parser, const char *name)
{
    if (!parser_take_name(parser, name))
        parser_fail(parser, name);
}

const char *parser_any_name(struct parser *parser)
{
    struct text text = parser_token(parser)->text;
    char *copy = parser_token(parser)->kind == TOKEN_NAME ? bounded_take(parser->machine, text.size) : NULL;
    if (!copy) {
        parser_fail(parser, "a name");
        return "";
    }
    memcpy(copy, text.bytes, text.size);
    copy[text.size] = '\0';
    advance(parser);
    return copy;
}

struct node *parser_node(struct parser *parser, enum node_kind kind)
{
    static const struct node fresh;
    struct node *node = bounded_take(parser->machine, sizeof *node);
    if (!node)
        node = &parser->lost;
    *node = fresh;
    node->kind = kind;
    node->line = parser_token(parser)->line;
    return node;
}

void parser_append(struct node ***end, struct node *node)
{
    **end = node;
    *end = &node->next;
}

bool parser_enter(struct parser *parser)
{
    if (++parser->depth > NESTING_MAX)
        bounded_fail(parser->machine, "nested more than %d deep", NESTING_MAX);
    return !bounded_failed(parser->machine);
}

void parser_leave(struct parser *parser)
{
    parser->depth--;
}
