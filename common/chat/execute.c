/* What statements do. */
#include "common/chat/execute.h"

#include <string.h>

#include "common/chat/evaluate.h"
#include "common/chat/text_builder.h"

enum jump { GO_ON, BREAK, CONTINUE };

static enum jump run_list(struct run *run, const struct node *list, struct text_builder *out);

static struct text write_body(struct run *run, const struct node *body)
{
    struct text_builder out = {.machine = run->machine};
    run_list(run, body, &out);
    return builder_text(&out);
}

static void write(struct run *run, struct text text, struct text_builder *out)
{
    bounded_step(run->machine, 1 + text.size / 256);
    builder_add(out, text);
    if (out->n > OUTPUT_BYTES_MAX)
        bounded_fail(run->machine, "the text has more than %d bytes", OUTPUT_BYTES_MAX);
}

/* name, (name, name) or namespace.name = value */
static void assign(struct run *run, const struct node *target, struct value value)
{
    if (target->kind == NODE_NAME) {
        scope_set(run, target->name, value);
    } else if (target->kind == NODE_ATTRIBUTE) {
        struct value space = evaluate(run, target->a);
        if (space.kind != VALUE_NAMESPACE)
            bounded_fail(run->machine, "'%.60s' is no namespace, so nothing in it can be set",
                         target->a->name);
        else
            dict_set(run->machine, space.dict, value_string(target->name), value);
    } else {
        const struct list *items = value_items(run->machine, value);
        size_t i = 0;
        for (const struct node *name = target->list; name; name = name->next, i++) {
            if (i < items->n)
                scope_set(run, name->name, items->items[i]);
        }
        if (i != items->n)
            bounded_fail(run->machine, "%zu values for %zu names", items->n, i);
    }
}

/* The items that a for goes through: those for which its `if` holds. */
static struct list *chosen_items(struct run *run, const struct node *node)
{
    struct value of = evaluate(run, node->a), list = value_list(run->machine);
    const struct list *items = value_items(run->machine, of);
    struct scope *before = run->scope;
    for (size_t i = 0; i < items->n && bounded_step(run->machine, 1); i++) {
        struct scope inner = {.outer = before};
        run->scope = &inner;
        if (node->b)
            assign(run, node->target, items->items[i]);
        if (!node->b || value_is_true(evaluate(run, node->b)))
            list_add(run->machine, list.list, items->items[i]);
        run->scope = before;
    }
    return list.list;
}

static enum jump run_for(struct run *run, const struct node *node, struct text_builder *out)
{
    struct loop *loop = bounded_take(run->machine, sizeof *loop);
    struct list *items = chosen_items(run, node);
    struct scope *before = run->scope;
    if (!loop)
        return GO_ON;
    *loop = (struct loop){items, 0, 1}; /* depth is that of recursion, which is refused */
    for (; loop->index0 < items->n && bounded_step(run->machine, 1); loop->index0++) {
        struct scope inner = {.outer = before};
        run->scope = &inner;
        scope_set(run, "loop", (struct value){.kind = VALUE_LOOP, .loop = loop});
        assign(run, node->target, items->items[loop->index0]);
        enum jump jump = run_list(run, node->body, out);
        run->scope = before;
        if (jump == BREAK)
            break;
    }
    return items->n ? GO_ON : run_list(run, node->other, out);
}

static void run_set(struct run *run, const struct node *node)
{
    if (node->a) {
        assign(run, node->target, evaluate(run, node->a));
        return;
    }
    struct node written = *node->c, *text = node->c;
    written.constant = value_text(write_body(run, node->body));
    if (node->b) { /* the filters hold a pointer to the node that they are applied to */
        *text = written;
        assign(run, node->target, evaluate(run, node->b));
    } else {
        assign(run, node->target, written.constant);
    }
}

static void run_filtered(struct run *run, const struct node *node, struct text_builder *out)
{
    node->c->constant = value_text(write_body(run, node->body));
    write(run, value_print(run->machine, evaluate(run, node->b)), out);
}

static enum jump run_with(struct run *run, const struct node *node, struct text_builder *out)
{
    struct scope *before = run->scope, inner = {.outer = before};
    for (const struct node *pair = node->list; pair; pair = pair->next)
        dict_set(run->machine, &inner.names, value_string(pair->name), evaluate(run, pair->a));
    run->scope = &inner;
    enum jump jump = run_list(run, node->body, out);
    run->scope = before;
    return jump;
}

static enum jump run_statement(struct run *run, const struct node *node, struct text_builder *out)
{
    switch (node->kind) {
    case NODE_DATA:
        write(run, node->constant.text, out);
        return GO_ON;
    case NODE_PRINT:
        write(run, value_print(run->machine, evaluate(run, node->a)), out);
        return GO_ON;
    case NODE_IF:
        return run_list(run, value_is_true(evaluate(run, node->a)) ? node->body : node->other, out);
    case NODE_FOR:
        return run_for(run, node, out);
    case NODE_SET:
        run_set(run, node);
        return GO_ON;
    case NODE_MACRO:
        scope_set(run, node->name,
                  (struct value){.kind = VALUE_MACRO, .macro = node, .text = text_of(node->name)});
        return GO_ON;
    case NODE_FILTERED:
        run_filtered(run, node, out);
        return GO_ON;
    case NODE_WITH:
        return run_with(run, node, out);
    case NODE_GROUP:
        return run_list(run, node->body, out);
    case NODE_BREAK:
        return BREAK;
    default:
        return CONTINUE;
    }
}

static enum jump run_list(struct run *run, const struct node *list, struct text_builder *out)
{
    enum jump jump = GO_ON;
    if (++run->nesting > RUN_NESTING_MAX)
        bounded_fail(run->machine, "statements are nested more than %d deep", RUN_NESTING_MAX);
    for (const struct node *node = list; node && jump == GO_ON && bounded_step(run->machine, 1);
         node = node->next) {
        run->machine->line = node->line;
        jump = run_statement(run, node, out);
    }
    run->nesting--;
    return jump;
}

struct text execute(struct machine *machine, const struct node *statements, struct value names)
{
    struct scope outside = {.names = *names.dict}, global = {.outer = &outside};
    struct run run = {.machine = machine, .scope = &global, .global = &global, .write_body = write_body};
    return write_body(&run, statements);
}
