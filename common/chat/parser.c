/* Statements. */
#include "common/chat/parser.h"

#include <string.h>

#include "common/chat/filters.h"
#include "common/chat/text_builder.h"

static struct node *statements(struct parser *parser);

static void end_block(struct parser *parser)
{
    if (parser_token(parser)->kind != TOKEN_BLOCK_END)
        parser_fail(parser, "%}");
    else
        parser->at++;
}

/* Is the next tag {% name ...? */
static bool is_tag(const struct parser *parser, const char *name)
{
    const struct token *token = parser_token(parser);
    return token[0].kind == TOKEN_BLOCK_BEGIN && token[1].kind == TOKEN_NAME && text_is(token[1].text, name);
}

/* {% name %} */
static void need_tag(struct parser *parser, const char *name)
{
    if (!is_tag(parser, name)) {
        bounded_fail(parser->machine, "{%% %s %%} is missing", name);
        return;
    }
    parser->at += 2;
    end_block(parser);
}

static struct node *if_statement(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_IF);
    node->a = parser_expression(parser);
    end_block(parser);
    node->body = statements(parser);
    if (is_tag(parser, "elif")) {
        parser->at += 2;
        if (parser_enter(parser))
            node->other = if_statement(parser);
        parser_leave(parser);
        return node;
    }
    if (is_tag(parser, "else")) {
        need_tag(parser, "else");
        node->other = statements(parser);
    }
    need_tag(parser, "endif");
    return node;
}

/* name | name.attribute | name, name */
static struct node *target(struct parser *parser, bool attributes)
{
    bool brackets = parser_take_sign(parser, "(");
    struct node *first = parser_node(parser, NODE_NAME), *node = first;
    first->name = parser_any_name(parser);
    if (attributes && parser_take_sign(parser, ".")) {
        node = parser_node(parser, NODE_ATTRIBUTE);
        node->a = first;
        node->name = parser_any_name(parser);
    } else if (parser_is_sign(parser, ",")) {
        node = parser_node(parser, NODE_LIST);
        struct node **end = &node->list;
        parser_append(&end, first);
        while (parser_take_sign(parser, ",") && !bounded_failed(parser->machine)) {
            struct node *next = parser_node(parser, NODE_NAME);
            next->name = parser_any_name(parser);
            parser_append(&end, next);
        }
    }
    if (brackets)
        parser_need_sign(parser, ")");
    return node;
}

static struct node *for_statement(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_FOR);
    node->target = target(parser, false);
    parser_need_name(parser, "in");
    node->a = parser_iterable(parser);
    if (parser_take_name(parser, "if"))
        node->b = parser_expression(parser);
    if (parser_is_name(parser, "recursive"))
        bounded_fail(parser->machine, "a recursive for is not supported");
    end_block(parser);
    parser->loops++;
    node->body = statements(parser);
    parser->loops--;
    if (is_tag(parser, "else")) {
        need_tag(parser, "else");
        node->other = statements(parser);
    }
    need_tag(parser, "endfor");
    return node;
}

static struct node *set_statement(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_SET), *text;
    node->target = target(parser, true);
    if (parser_take_sign(parser, "=")) {
        node->a = parser_tuple(parser);
        end_block(parser);
        return node;
    }
    text = parser_node(parser, NODE_CONSTANT);
    struct node *filters = parser_filters(parser, text);
    node->b = filters == text ? NULL : filters;
    node->c = text; /* takes what the body writes */
    end_block(parser);
    node->body = statements(parser);
    need_tag(parser, "endset");
    return node;
}

static struct node *macro_statement(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_MACRO), **end = &node->list;
    node->name = parser_any_name(parser);
    parser_need_sign(parser, "(");
    while (!parser_is_sign(parser, ")") && !bounded_failed(parser->machine)) {
        struct node *parameter = parser_node(parser, NODE_NAME);
        parameter->name = parser_any_name(parser);
        if (parser_take_sign(parser, "="))
            parameter->a = parser_expression(parser);
        parser_append(&end, parameter);
        if (!parser_take_sign(parser, ","))
            break;
    }
    parser_need_sign(parser, ")");
    end_block(parser);
    int loops = parser->loops;
    parser->loops = 0;
    node->body = statements(parser);
    parser->loops = loops;
    need_tag(parser, "endmacro");
    return node;
}

static struct node *with_statement(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_WITH), **end = &node->list;
    while (parser_token(parser)->kind == TOKEN_NAME && !bounded_failed(parser->machine)) {
        struct node *pair = parser_node(parser, NODE_NAME);
        pair->name = parser_any_name(parser);
        parser_need_sign(parser, "=");
        pair->a = parser_expression(parser);
        parser_append(&end, pair);
        if (!parser_take_sign(parser, ","))
            break;
    }
    end_block(parser);
    node->body = statements(parser);
    need_tag(parser, "endwith");
    return node;
}

/* {% filter upper | trim %} */
static struct node *filter_statement(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_FILTERED), *text = parser_node(parser, NODE_CONSTANT);
    struct node *first = parser_node(parser, NODE_FILTER);
    first->a = text;
    first->name = parser_any_name(parser);
    if (!bounded_failed(parser->machine) && !filter_is_known(first->name))
        bounded_fail(parser->machine, "the filter '%.60s' is not supported", first->name);
    node->b = parser_filters(parser, first);
    node->c = text;
    end_block(parser);
    node->body = statements(parser);
    need_tag(parser, "endfilter");
    return node;
}

/* A mark for training around the answer; what it holds is written as usual. */
static struct node *generation_statement(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_GROUP);
    end_block(parser);
    node->body = statements(parser);
    need_tag(parser, "endgeneration");
    return node;
}

static struct node *jump_statement(struct parser *parser, enum node_kind kind)
{
    if (parser->loops == 0)
        bounded_fail(parser->machine, "break and continue stand in a for only");
    end_block(parser);
    return parser_node(parser, kind);
}

static struct node *block(struct parser *parser)
{
    parser->at++; /* {% */
    if (parser_take_name(parser, "if"))
        return if_statement(parser);
    if (parser_take_name(parser, "for"))
        return for_statement(parser);
    if (parser_take_name(parser, "set"))
        return set_statement(parser);
    if (parser_take_name(parser, "macro"))
        return macro_statement(parser);
    if (parser_take_name(parser, "with"))
        return with_statement(parser);
    if (parser_take_name(parser, "filter"))
        return filter_statement(parser);
    if (parser_take_name(parser, "generation"))
        return generation_statement(parser);
    if (parser_take_name(parser, "break"))
        return jump_statement(parser, NODE_BREAK);
    if (parser_take_name(parser, "continue"))
        return jump_statement(parser, NODE_CONTINUE);
    bounded_fail(parser->machine, "{%% %.40s %%} is not supported", parser_any_name(parser));
    return NULL;
}

static bool ends_block(const struct parser *parser)
{
    static const char *const ends[] = {"elif",     "else",    "endif",     "endfor",        "endset",
                                       "endmacro", "endwith", "endfilter", "endgeneration", NULL};
    for (const char *const *end = ends; *end; end++) {
        if (is_tag(parser, *end))
            return true;
    }
    return parser_token(parser)->kind == TOKEN_END;
}

static struct node *statements(struct parser *parser)
{
    struct node *list = NULL, **end = &list, *node;
    for (bool more = parser_enter(parser); more && !bounded_failed(parser->machine) && !ends_block(parser);) {
        const struct token *token = parser_token(parser);
        parser->machine->line = token->line;
        if (token->kind == TOKEN_DATA) {
            node = parser_node(parser, NODE_DATA);
            node->constant = value_text(token->text);
            parser->at++;
        } else if (token->kind == TOKEN_PRINT_BEGIN) {
            parser->at++;
            node = parser_node(parser, NODE_PRINT);
            node->a = parser_tuple(parser);
            if (parser_token(parser)->kind != TOKEN_PRINT_END)
                parser_fail(parser, "}}");
            else
                parser->at++;
        } else {
            node = block(parser);
        }
        if (!bounded_failed(parser->machine))
            parser_append(&end, node);
    }
    parser_leave(parser);
    return list;
}

struct node *parser_run(struct machine *machine, const struct token *tokens)
{
    struct parser parser = {.machine = machine, .tokens = tokens};
    struct node *list = statements(&parser);
    if (!bounded_failed(machine) && parser_token(&parser)->kind != TOKEN_END) {
        parser.at++;
        bounded_fail(machine, "{%% %.40s %%} closes nothing", parser_any_name(&parser));
    }
    return bounded_failed(machine) ? NULL : list;
}
