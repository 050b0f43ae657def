/* Expressions, with Jinja's precedence. */
#include <string.h>

#include "common/chat/filters.h"
#include "common/chat/parser.h"
#include "common/chat/text_builder.h"
#include "common/chat/tests.h"

static struct node *constant(struct parser *parser, struct value value)
{
    struct node *node = parser_node(parser, NODE_CONSTANT);
    node->constant = value;
    return node;
}

static struct node *binary(struct parser *parser, enum node_kind kind, const char *name, struct node *a,
                           struct node *b)
{
    struct node *node = parser_node(parser, kind);
    node->name = name;
    node->a = a;
    node->b = b;
    return node;
}

/* (a, b, name=c): behind the opening bracket. */
static struct node *arguments(struct parser *parser)
{
    struct node *list = NULL, **end = &list;
    while (!parser_is_sign(parser, ")") && !bounded_failed(parser->machine)) {
        const char *name = NULL;
        const struct token *next = parser_token(parser) + 1;
        if (parser_is_sign(parser, "*") || parser_is_sign(parser, "**"))
            bounded_fail(parser->machine, "* before an argument is not supported");
        if (parser_token(parser)->kind == TOKEN_NAME && next->kind == TOKEN_SIGN &&
            text_is(next->text, "=")) {
            name = parser_any_name(parser);
            parser_need_sign(parser, "=");
        }
        struct node *argument =
            parser_node(parser, NODE_CHOOSE); /* a wrapper: it may stand in one list only */
        argument->name = name;
        argument->a = parser_expression(parser);
        parser_append(&end, argument);
        if (!parser_take_sign(parser, ","))
            break;
    }
    parser_need_sign(parser, ")");
    return list;
}

static struct node *quoted(struct parser *parser)
{
    struct text_builder out = {.machine = parser->machine};
    while (parser_token(parser)->kind == TOKEN_TEXT && !bounded_failed(parser->machine))
        builder_add(&out, parser->tokens[parser->at++].text);
    return constant(parser, value_text(builder_text(&out)));
}

static struct node *list_until(struct parser *parser, const char *end_sign)
{
    struct node *node = parser_node(parser, NODE_LIST), **end = &node->list;
    while (!parser_is_sign(parser, end_sign) && !bounded_failed(parser->machine)) {
        struct node *item = parser_node(parser, NODE_CHOOSE);
        item->a = parser_expression(parser);
        parser_append(&end, item);
        if (!parser_take_sign(parser, ","))
            break;
    }
    parser_need_sign(parser, end_sign);
    return node;
}

static struct node *dict(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_DICT), **end = &node->list;
    while (!parser_is_sign(parser, "}") && !bounded_failed(parser->machine)) {
        for (int i = 0; i < 2; i++) {
            struct node *item = parser_node(parser, NODE_CHOOSE);
            item->a = parser_expression(parser);
            parser_append(&end, item);
            if (i == 0)
                parser_need_sign(parser, ":");
        }
        if (!parser_take_sign(parser, ","))
            break;
    }
    parser_need_sign(parser, "}");
    return node;
}

/* Behind an opening bracket: () (a) (a,) (a, b) */
static struct node *in_brackets(struct parser *parser)
{
    if (parser_take_sign(parser, ")")) {
        struct node *empty = parser_node(parser, NODE_LIST);
        empty->flag = true;
        return empty;
    }
    struct node *node = parser_tuple(parser);
    parser_need_sign(parser, ")");
    return node;
}

static struct node *named(struct parser *parser)
{
    static const char *const names[] = {"true", "True", "false", "False", "none", "None"};
    for (int i = 0; i < 6; i++) {
        if (parser_take_name(parser, names[i]))
            return constant(parser, i < 4 ? value_boolean(i < 2) : value_none());
    }
    struct node *node = parser_node(parser, NODE_NAME);
    node->name = parser_any_name(parser);
    return node;
}

static struct node *primary(struct parser *parser)
{
    const struct token *token = parser_token(parser);
    switch (token->kind) {
    case TOKEN_NAME:
        return named(parser);
    case TOKEN_TEXT:
        return quoted(parser);
    case TOKEN_INTEGER:
        parser->at++;
        return constant(parser, value_integer(token->integer));
    case TOKEN_FLOAT:
        parser->at++;
        return constant(parser, value_float(token->number));
    default:
        if (parser_take_sign(parser, "("))
            return in_brackets(parser);
        if (parser_take_sign(parser, "["))
            return list_until(parser, "]");
        if (parser_take_sign(parser, "{"))
            return dict(parser);
        parser_fail(parser, "an expression");
        return constant(parser, value_none());
    }
}

/* Behind [: an index or a slice. */
static struct node *subscript(struct parser *parser, struct node *of)
{
    struct node *parts[3] = {NULL}, *node;
    int n = 0;
    bool slice = false;
    while (!parser_is_sign(parser, "]") && !bounded_failed(parser->machine)) {
        if (parser_take_sign(parser, ":")) {
            slice = true;
            if (++n > 2)
                parser_fail(parser, "]");
        } else if (n < 3 && !parts[n]) {
            parts[n] = parser_expression(parser);
        } else {
            parser_fail(parser, "]");
        }
    }
    parser_need_sign(parser, "]");
    if (!slice && !parts[0])
        parser_fail(parser, "an index");
    node = binary(parser, slice ? NODE_SLICE : NODE_ITEM, NULL, of, parts[0]);
    node->c = parts[1];
    node->d = parts[2];
    return node;
}

static struct node *call(struct parser *parser, struct node *of)
{
    struct node *node = parser_node(parser, NODE_CALL);
    node->a = of;
    node->list = arguments(parser);
    return node;
}

static struct node *postfix(struct parser *parser, struct node *node)
{
    while (!bounded_failed(parser->machine)) {
        if (parser_take_sign(parser, ".")) {
            if (parser_token(parser)->kind == TOKEN_INTEGER) {
                int64_t index = parser->tokens[parser->at++].integer;
                node = binary(parser, NODE_ITEM, NULL, node, constant(parser, value_integer(index)));
            } else {
                node = binary(parser, NODE_ATTRIBUTE, NULL, node, NULL);
                node->name = parser_any_name(parser);
            }
        } else if (parser_take_sign(parser, "[")) {
            node = subscript(parser, node);
        } else if (parser_take_sign(parser, "(")) {
            node = call(parser, node);
        } else {
            break;
        }
    }
    return node;
}

static struct node *filter(struct parser *parser, struct node *of)
{
    struct node *node = parser_node(parser, NODE_FILTER);
    node->a = of;
    node->name = parser_any_name(parser);
    if (!bounded_failed(parser->machine) && !filter_is_known(node->name))
        bounded_fail(parser->machine, "the filter '%.60s' is not supported", node->name);
    if (parser_take_sign(parser, "("))
        node->list = arguments(parser);
    return node;
}

struct node *parser_filters(struct parser *parser, struct node *operand)
{
    while (parser_take_sign(parser, "|") && !bounded_failed(parser->machine))
        operand = filter(parser, operand);
    return operand;
}

/* A test's argument may stand without brackets: x is divisibleby 3. */
static bool begins_argument(const struct parser *parser)
{
    enum token_kind kind = parser_token(parser)->kind;
    if (kind == TOKEN_NAME)
        return !parser_is_name(parser, "else") && !parser_is_name(parser, "or") &&
               !parser_is_name(parser, "and") && !parser_is_name(parser, "if") &&
               !parser_is_name(parser, "is") && !parser_is_name(parser, "in") &&
               !parser_is_name(parser, "not");
    return kind == TOKEN_TEXT || kind == TOKEN_INTEGER || kind == TOKEN_FLOAT ||
           parser_is_sign(parser, "[") || parser_is_sign(parser, "{");
}

static struct node *test(struct parser *parser, struct node *of)
{
    struct node *node = parser_node(parser, NODE_TEST);
    node->a = of;
    node->flag = parser_take_name(parser, "not");
    node->name = parser_any_name(parser);
    if (!bounded_failed(parser->machine) && !test_is_known(node->name))
        bounded_fail(parser->machine, "the test '%.60s' is not supported", node->name);
    if (parser_take_sign(parser, "(")) {
        node->list = arguments(parser);
    } else if (begins_argument(parser)) {
        node->list = parser_node(parser, NODE_CHOOSE);
        node->list->a = postfix(parser, primary(parser));
    }
    return node;
}

static struct node *filtered(struct parser *parser, struct node *node)
{
    while (!bounded_failed(parser->machine)) {
        if (parser_is_sign(parser, "|"))
            node = parser_filters(parser, node);
        else if (parser_take_name(parser, "is"))
            node = test(parser, node);
        else if (parser_take_sign(parser, "("))
            node = call(parser, node);
        else
            break;
    }
    return node;
}

static struct node *unary(struct parser *parser, bool with_filters)
{
    struct node *node;
    if (!parser_enter(parser)) {
        parser_leave(parser);
        return constant(parser, value_none());
    }
    if (parser_is_sign(parser, "-") || parser_is_sign(parser, "+")) {
        const char *name = parser_is_sign(parser, "-") ? "-" : "+";
        parser->at++;
        node = binary(parser, NODE_UNARY, name, unary(parser, false), NULL);
    } else {
        node = primary(parser);
    }
    node = postfix(parser, node);
    if (with_filters)
        node = filtered(parser, node);
    parser_leave(parser);
    return node;
}

/* Levels of binary operators, from those that bind most. */
static const char *const levels[][5] = {{"**"}, {"*", "/", "//", "%"}, {"~"}, {"+", "-"}};

static struct node *level(struct parser *parser, int which)
{
    struct node *node = which < 0 ? unary(parser, true) : level(parser, which - 1);
    if (which < 0)
        return node;
    for (bool more = true; more && !bounded_failed(parser->machine);) {
        more = false;
        for (int i = 0; i < 5 && levels[which][i] && !more; i++) {
            more = parser_take_sign(parser, levels[which][i]);
            if (more)
                node = binary(parser, NODE_BINARY, levels[which][i], node, level(parser, which - 1));
        }
    }
    return node;
}

static const char *comparison(struct parser *parser)
{
    static const char *const signs[] = {"==", "!=", "<=", ">=", "<", ">"};
    for (int i = 0; i < 6; i++) {
        if (parser_take_sign(parser, signs[i]))
            return signs[i];
    }
    if (parser_take_name(parser, "in"))
        return "in";
    const struct token *next = parser_token(parser) + 1;
    if (!parser_is_name(parser, "not") || next->kind != TOKEN_NAME || !text_is(next->text, "in"))
        return NULL;
    parser->at += 2;
    return "not in";
}

static struct node *compared(struct parser *parser)
{
    struct node *first = level(parser, 3), *node = NULL, **end = NULL;
    const char *name;
    while (!bounded_failed(parser->machine) && (name = comparison(parser)) != NULL) {
        struct node *other = binary(parser, NODE_CHOOSE, name, NULL, level(parser, 3));
        if (!node) {
            node = binary(parser, NODE_COMPARE, NULL, first, NULL);
            end = &node->list;
        }
        parser_append(&end, other);
    }
    return node ? node : first;
}

static struct node *negated(struct parser *parser)
{
    if (!parser_take_name(parser, "not"))
        return compared(parser);
    struct node *node = constant(parser, value_none());
    if (parser_enter(parser))
        node = binary(parser, NODE_UNARY, "not", negated(parser), NULL);
    parser_leave(parser);
    return node;
}

static struct node *both(struct parser *parser)
{
    struct node *node = negated(parser);
    while (!bounded_failed(parser->machine) && parser_take_name(parser, "and"))
        node = binary(parser, NODE_AND, NULL, node, negated(parser));
    return node;
}

struct node *parser_iterable(struct parser *parser)
{
    struct node *node = both(parser);
    while (!bounded_failed(parser->machine) && parser_take_name(parser, "or"))
        node = binary(parser, NODE_OR, NULL, node, both(parser));
    return node;
}

struct node *parser_expression(struct parser *parser)
{
    struct node *node = constant(parser, value_none());
    if (parser_enter(parser))
        node = parser_iterable(parser);
    while (!bounded_failed(parser->machine) && parser_take_name(parser, "if")) {
        node = binary(parser, NODE_CHOOSE, NULL, node, parser_iterable(parser));
        if (parser_take_name(parser, "else"))
            node->c = parser_expression(parser);
    }
    parser_leave(parser);
    return node;
}

struct node *parser_tuple(struct parser *parser)
{
    struct node *first = parser_expression(parser);
    if (!parser_is_sign(parser, ","))
        return first;
    struct node *node = parser_node(parser, NODE_LIST), **end = &node->list;
    node->flag = true;
    struct node *wrapper = parser_node(parser, NODE_CHOOSE);
    wrapper->a = first;
    parser_append(&end, wrapper);
    while (parser_take_sign(parser, ",") && !bounded_failed(parser->machine)) {
        enum token_kind kind = parser_token(parser)->kind;
        if (parser_is_sign(parser, ")") || kind == TOKEN_BLOCK_END || kind == TOKEN_PRINT_END)
            break;
        wrapper = parser_node(parser, NODE_CHOOSE);
        wrapper->a = parser_expression(parser);
        parser_append(&end, wrapper);
    }
    return node;
}
