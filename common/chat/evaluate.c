/* What expressions give. */
#include "common/chat/evaluate.h"

#include <limits.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "common/chat/filters.h"
#include "common/chat/methods.h"
#include "common/chat/tests.h"
#include "common/chat/text_builder.h"

enum { MACROS_MAX = 32, RANGE_MAX = 100000 };

/* The functions of every template. raise_exception and strftime_now are those that the reference adds. */
static const char *const functions[] = {"namespace", "raise_exception", "range",
                                        "dict",      "strftime_now",    NULL};

void scope_set(struct run *run, const char *name, struct value value)
{
    dict_set(run->machine, &run->scope->names, value_string(name), value);
}

static struct value look_up(struct run *run, const char *name)
{
    for (const struct scope *scope = run->scope; scope; scope = scope->outer) {
        const struct value *value = dict_find(&scope->names, name);
        if (value)
            return *value;
    }
    for (const char *const *function = functions; *function; function++) {
        if (!strcmp(*function, name))
            return (struct value){.kind = VALUE_METHOD, .text = text_of(*function)};
    }
    return value_undefined(name);
}

/* ---- calls ---- */

static void read_arguments(struct run *run, const struct node *list, struct dict *keywords, struct call *call)
{
    struct value all = value_list(run->machine);
    for (const struct node *argument = list; argument && !bounded_failed(run->machine);
         argument = argument->next) {
        struct value value = evaluate(run, argument->a);
        if (argument->name)
            dict_set(run->machine, keywords, value_string(argument->name), value);
        else
            list_add(run->machine, all.list, value);
    }
    *call = (struct call){all.list->items, all.list->n, keywords};
}

static struct value call_macro(struct run *run, struct value macro, const struct call *call)
{
    const struct node *node = macro.macro;
    struct scope *before = run->scope, inner = {.outer = run->global};
    size_t place = 0;
    if (++run->depth > MACROS_MAX)
        bounded_fail(run->machine, "macros call each other more than %d deep", MACROS_MAX);
    for (const struct node *parameter = node->list; parameter; parameter = parameter->next, place++) {
        struct value value = value_undefined(parameter->name);
        if (call_has(call, place, parameter->name)) {
            value = call_argument(call, place, parameter->name, value);
        } else if (parameter->a) {
            run->scope = &inner;
            value = evaluate(run, parameter->a);
            run->scope = before;
        }
        dict_set(run->machine, &inner.names, value_string(parameter->name), value);
    }
    if (call->n > place)
        bounded_fail(run->machine, "macro '%.60s' takes not more than %zu arguments", node->name, place);
    run->scope = &inner;
    struct text text = bounded_failed(run->machine) ? text_of("") : run->write_body(run, node->body);
    run->scope = before;
    run->depth--;
    return value_text(text);
}

static struct value make_range(struct run *run, const struct call *call)
{
    int64_t start = 0, stop = 0, step = 1, *parts[3] = {&start, &stop, &step};
    struct value list = value_list(run->machine);
    for (size_t i = 0; i < call->n && i < 3; i++) {
        if (call->positional[i].kind != VALUE_INTEGER)
            bounded_fail(run->machine, "range: %s is no whole number", value_kind_name(call->positional[i]));
        else
            *parts[call->n == 1 ? 1 : i] = call->positional[i].integer;
    }
    if (call->n == 0 || call->n > 3 || step == 0)
        bounded_fail(run->machine, "range: it takes one to three whole numbers, and no step of 0");
    for (int64_t i = start; !bounded_failed(run->machine) && (step > 0 ? i < stop : i > stop);) {
        if (list.list->n == RANGE_MAX)
            bounded_fail(run->machine, "range: more than %d numbers are not supported", RANGE_MAX);
        list_add(run->machine, list.list, value_integer(i));
        if (!bounded_step(run->machine, 1) || __builtin_add_overflow(i, step, &i))
            break;
    }
    return list;
}

static struct value time_now(struct run *run, const struct call *call)
{
    char out[128], format[64] = "";
    struct text given = value_print(run->machine, call_argument(call, 0, "format", value_string("")));
    time_t now = time(NULL);
    struct tm parts;
    if (given.size >= sizeof format) {
        bounded_fail(run->machine, "strftime_now: the format is longer than %zu bytes", sizeof format - 1);
        return value_none();
    }
    memcpy(format, given.bytes, given.size);
    localtime_r(&now, &parts);
    size_t n = strftime(out, sizeof out, format, &parts);
    struct text_builder builder = {.machine = run->machine};
    builder_add_bytes(&builder, out, n, 0);
    return value_text(builder_text(&builder));
}

static struct value call_function(struct run *run, const char *name, const struct call *call)
{
    if (!strcmp(name, "raise_exception")) {
        struct text reason = value_print(run->machine, call_argument(call, 0, "message", value_string("")));
        bounded_fail(run->machine, "the template refuses these messages: %.*s",
                     reason.size < 300 ? (int)reason.size : 300, reason.bytes);
        return value_none();
    }
    if (!strcmp(name, "range"))
        return make_range(run, call);
    if (!strcmp(name, "strftime_now"))
        return time_now(run, call);
    struct value made = value_dict(run->machine);
    for (size_t i = 0; i < call->keywords->n; i++)
        dict_set(run->machine, made.dict, call->keywords->pairs[i].key, call->keywords->pairs[i].value);
    if (call->n)
        bounded_fail(run->machine, "%.40s: only keywords are supported", name);
    if (*name == 'n')
        made.kind = VALUE_NAMESPACE;
    return made;
}

/* The name of a method is a constant string or one in the machine's memory: it ends with a NUL. */
static struct value call_value(struct run *run, const struct node *node)
{
    struct dict keywords = {0};
    struct call call;
    struct value function = evaluate(run, node->a);
    read_arguments(run, node->list, &keywords, &call);
    run->machine->line = node->line;
    if (bounded_failed(run->machine))
        return value_none();
    if (function.kind == VALUE_MACRO)
        return call_macro(run, function, &call);
    if (function.kind == VALUE_METHOD && !function.self)
        return call_function(run, function.text.bytes, &call);
    if (function.kind == VALUE_METHOD)
        return method_call(run->machine, *function.self, function.text.bytes, &call);
    const char *name = node->a->name ? node->a->name : "this";
    if (function.kind == VALUE_UNDEFINED)
        bounded_fail(run->machine, "'%.60s' is not supported: there is no such function or method", name);
    else
        bounded_fail(run->machine, "'%.60s' is %s and cannot be called", name, value_kind_name(function));
    return value_none();
}

/* ---- operators ---- */

static struct value joined(struct run *run, struct text a, struct text b)
{
    struct text_builder out = {.machine = run->machine};
    bounded_step(run->machine, 1 + (a.size + b.size) / 256); /* copies are work too */
    builder_add(&out, a);
    builder_add(&out, b);
    return value_text(builder_text(&out));
}

static struct value add(struct run *run, struct value a, struct value b)
{
    struct value list;
    if (a.kind == VALUE_TEXT && b.kind == VALUE_TEXT)
        return joined(run, a.text, b.text);
    if (a.kind != VALUE_LIST || b.kind != VALUE_LIST) {
        bounded_fail(run->machine, "%s%s%.*s and %s%s%.*s cannot be added", value_kind_name(a),
                     a.kind == VALUE_UNDEFINED ? " " : "", a.kind == VALUE_UNDEFINED ? (int)a.text.size : 0,
                     a.kind == VALUE_UNDEFINED ? a.text.bytes : "", value_kind_name(b),
                     b.kind == VALUE_UNDEFINED ? " " : "", b.kind == VALUE_UNDEFINED ? (int)b.text.size : 0,
                     b.kind == VALUE_UNDEFINED ? b.text.bytes : "");
        return value_none();
    }
    list = value_list(run->machine);
    for (size_t i = 0; i < a.list->n + b.list->n && bounded_step(run->machine, 1); i++)
        list_add(run->machine, list.list, i < a.list->n ? a.list->items[i] : b.list->items[i - a.list->n]);
    return list;
}

static struct value repeated(struct run *run, struct value text, struct value times)
{
    struct text_builder out = {.machine = run->machine};
    for (int64_t i = 0;
         i < times.integer && text.text.size && bounded_step(run->machine, 1 + text.text.size / 256); i++)
        builder_add(&out, text.text);
    return value_text(builder_text(&out));
}

static struct value whole_arithmetic(struct run *run, const char *sign, int64_t a, int64_t b)
{
    int64_t result = 0;
    bool overflow = false;
    if (*sign == '+')
        overflow = __builtin_add_overflow(a, b, &result);
    else if (*sign == '-')
        overflow = __builtin_sub_overflow(a, b, &result);
    else if (*sign == '*')
        overflow = __builtin_mul_overflow(a, b, &result);
    else if (b == 0 || (b == -1 && a == INT64_MIN))
        bounded_fail(run->machine, "division by 0");
    else if (*sign == '%')
        result = a % b + (a % b != 0 && (a % b < 0) != (b < 0) ? b : 0);
    else
        result = a / b - (a % b != 0 && (a % b < 0) != (b < 0));
    if (overflow)
        bounded_fail(run->machine, "a number becomes too large");
    return value_integer(result);
}

static struct value arithmetic(struct run *run, const char *sign, struct value a, struct value b)
{
    double x = value_number(a), y = value_number(b);
    bool whole = a.kind != VALUE_FLOAT && b.kind != VALUE_FLOAT;
    if (whole && strcmp(sign, "/") != 0 && strcmp(sign, "**") != 0)
        return whole_arithmetic(run, sign, (int64_t)x, (int64_t)y);
    if (!strcmp(sign, "**"))
        return whole && y >= 0 && fabs(pow(x, y)) < 9e15 ? value_integer((int64_t)pow(x, y))
                                                         : value_float(pow(x, y));
    if ((*sign == '/' || *sign == '%') && y == 0) {
        bounded_fail(run->machine, "division by 0");
        return value_none();
    }
    switch (*sign) {
    case '+':
        return value_float(x + y);
    case '-':
        return value_float(x - y);
    case '*':
        return value_float(x * y);
    case '%':
        return value_float(x - floor(x / y) * y);
    default:
        return value_float(sign[1] ? floor(x / y) : x / y);
    }
}

static struct value binary(struct run *run, const struct node *node)
{
    struct value a = evaluate(run, node->a), b = evaluate(run, node->b);
    const char *sign = node->name;
    run->machine->line = node->line;
    if (bounded_failed(run->machine))
        return value_none();
    if (*sign == '~')
        return joined(run, value_print(run->machine, a), value_print(run->machine, b));
    if (value_is_number(a) && value_is_number(b))
        return arithmetic(run, sign, a, b);
    if (*sign == '+')
        return add(run, a, b);
    if (!strcmp(sign, "*") && a.kind == VALUE_TEXT && b.kind == VALUE_INTEGER)
        return repeated(run, a, b);
    bounded_fail(run->machine, "%s %s %s is not supported", value_kind_name(a), sign, value_kind_name(b));
    return value_none();
}

static bool compare_one(struct run *run, const char *sign, struct value a, struct value b)
{
    if (!strcmp(sign, "=="))
        return value_equals(a, b);
    if (!strcmp(sign, "!="))
        return !value_equals(a, b);
    if (!strcmp(sign, "in"))
        return value_contains(run->machine, b, a);
    if (!strcmp(sign, "not in"))
        return !value_contains(run->machine, b, a);
    int order = value_compare(run->machine, a, b);
    if (*sign == '<')
        return sign[1] ? order <= 0 : order < 0;
    return sign[1] ? order >= 0 : order > 0;
}

static struct value compare(struct run *run, const struct node *node)
{
    struct value left = evaluate(run, node->a);
    for (const struct node *part = node->list; part && !bounded_failed(run->machine); part = part->next) {
        struct value right = evaluate(run, part->b);
        if (!compare_one(run, part->name, left, right))
            return value_boolean(false);
        left = right;
    }
    return value_boolean(true);
}

static struct value unary(struct run *run, const struct node *node)
{
    struct value value = evaluate(run, node->a);
    if (!strcmp(node->name, "not"))
        return value_boolean(!value_is_true(value));
    if (!value_is_number(value)) {
        bounded_fail(run->machine, "%s%s is not supported", node->name, value_kind_name(value));
        return value_none();
    }
    return arithmetic(run, node->name, value_integer(0), value);
}

/* ---- parts ---- */

/* Where a slice's bound lies among n items, as in Python. */
static int64_t bound(struct run *run, const struct node *node, int64_t n, int64_t step, int64_t fallback)
{
    struct value value = node ? evaluate(run, node) : value_none();
    if (value.kind == VALUE_NONE)
        return fallback;
    if (value.kind != VALUE_INTEGER) {
        bounded_fail(run->machine, "a slice needs whole numbers, not %s", value_kind_name(value));
        return 0;
    }
    int64_t at = value.integer < 0 ? value.integer + n : value.integer;
    int64_t least = step < 0 ? -1 : 0, most = step < 0 ? n - 1 : n;
    return at < least ? least : at > most ? most : at;
}

static struct value slice(struct run *run, const struct node *node)
{
    struct value of = evaluate(run, node->a), list = value_list(run->machine);
    struct value given = node->d ? evaluate(run, node->d) : value_none();
    int64_t step = given.kind == VALUE_INTEGER ? given.integer : 1;
    if (of.kind == VALUE_UNDEFINED || of.kind == VALUE_DICT || step == 0 || step < -INT_MAX ||
        step > INT_MAX) {
        bounded_fail(run->machine, "this slice of %s is not supported", value_kind_name(of));
        return value_none();
    }
    const struct list *items = value_items(run->machine, of);
    int64_t n = (int64_t)items->n, start = bound(run, node->b, n, step, step < 0 ? n - 1 : 0),
            stop = bound(run, node->c, n, step, step < 0 ? -1 : n);
    struct text_builder out = {.machine = run->machine};
    for (int64_t i = start;
         (step < 0 ? i > stop : i < stop) && i >= 0 && i < n && bounded_step(run->machine, 1); i += step) {
        if (of.kind == VALUE_TEXT)
            builder_add(&out, items->items[i].text);
        else
            list_add(run->machine, list.list, items->items[i]);
    }
    return of.kind == VALUE_TEXT ? value_text(builder_text(&out)) : list;
}

static struct value make_list(struct run *run, const struct node *node)
{
    struct value list = value_list(run->machine);
    list.is_tuple = node->flag;
    for (const struct node *item = node->list; item && !bounded_failed(run->machine); item = item->next)
        list_add(run->machine, list.list, evaluate(run, item->a));
    return list;
}

static struct value make_dict(struct run *run, const struct node *node)
{
    struct value dict = value_dict(run->machine);
    for (const struct node *item = node->list; item && item->next && !bounded_failed(run->machine);
         item = item->next->next) {
        struct value key = evaluate(run, item->a);
        dict_set(run->machine, dict.dict, key, evaluate(run, item->next->a));
    }
    return dict;
}

static struct value filtered(struct run *run, const struct node *node)
{
    struct dict keywords = {0};
    struct call call;
    struct value value = evaluate(run, node->a);
    read_arguments(run, node->list, &keywords, &call);
    run->machine->line = node->line;
    return filter_apply(run->machine, node->name, value, &call);
}

static struct value tested(struct run *run, const struct node *node)
{
    struct value value = evaluate(run, node->a);
    struct value argument = node->list ? evaluate(run, node->list->a) : value_none();
    run->machine->line = node->line;
    if (bounded_failed(run->machine))
        return value_none();
    return value_boolean(test_apply(run->machine, node->name, value, argument) != node->flag);
}

static struct value either(struct run *run, const struct node *node)
{
    struct value first = evaluate(run, node->a);
    return value_is_true(first) == (node->kind == NODE_OR) ? first : evaluate(run, node->b);
}

static struct value choose(struct run *run, const struct node *node)
{
    if (value_is_true(evaluate(run, node->b)))
        return evaluate(run, node->a);
    return node->c ? evaluate(run, node->c) : value_undefined("a value without else");
}

static struct value evaluate_node(struct run *run, const struct node *node)
{
    run->machine->line = node->line;
    switch (node->kind) {
    case NODE_CONSTANT:
        return node->constant;
    case NODE_NAME:
        return look_up(run, node->name);
    case NODE_LIST:
        return make_list(run, node);
    case NODE_DICT:
        return make_dict(run, node);
    case NODE_ATTRIBUTE:
        return attribute_get(run->machine, evaluate(run, node->a), node->name);
    case NODE_ITEM: {
        struct value of = evaluate(run, node->a);
        return item_get(run->machine, of, evaluate(run, node->b));
    }
    case NODE_SLICE:
        return slice(run, node);
    case NODE_CALL:
        return call_value(run, node);
    case NODE_FILTER:
        return filtered(run, node);
    case NODE_TEST:
        return tested(run, node);
    case NODE_UNARY:
        return unary(run, node);
    case NODE_BINARY:
        return binary(run, node);
    case NODE_COMPARE:
        return compare(run, node);
    case NODE_AND:
    case NODE_OR:
        return either(run, node);
    default:
        return choose(run, node);
    }
}

struct value evaluate(struct run *run, const struct node *node)
{
    struct value value = value_none();
    if (++run->nesting > RUN_NESTING_MAX)
        bounded_fail(run->machine, "an expression is nested more than %d deep", RUN_NESTING_MAX);
    if (bounded_step(run->machine, 1))
        value = evaluate_node(run, node);
    run->nesting--;
    return value;
}
