#ifndef MILLRACE_COMMON_CHAT_VALUE_H
#define MILLRACE_COMMON_CHAT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/chat/machine.h"

/* What expressions of a template give. Values live in the machine's memory; nothing is freed before its end.
 */
enum value_kind {
    VALUE_UNDEFINED, /* the name or the key is not there; `text` is that name */
    VALUE_NONE,
    VALUE_BOOLEAN,
    VALUE_INTEGER,
    VALUE_FLOAT,
    VALUE_TEXT,
    VALUE_LIST,
    VALUE_DICT,
    VALUE_NAMESPACE, /* a dict that `set` may change */
    VALUE_LOOP,      /* the `loop` of a for */
    VALUE_MACRO,
    VALUE_METHOD, /* of `self`, by name */
};

/* Text, in valid UTF-8. `users` says of each byte whether a client wrote it (not 0); NULL: none of them. */
struct text {
    const char *bytes;
    size_t size;
    const unsigned char *users;
};

struct value {
    enum value_kind kind;
    bool is_tuple; /* of a list: it prints in parentheses */
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct text text; /* also the name of a method, a macro and what is undefined */
        struct list *list;
        struct dict *dict;
        struct loop *loop;
    };
    const struct node *macro;
    struct value *self;
};

struct list {
    struct value *items;
    size_t n, capacity;
    int depth; /* of lists and dicts within */
};

/* In the order of insertion. Templates have few keys: a search goes through all. */
struct dict {
    struct pair {
        struct value key, value;
    } * pairs;
    size_t n, capacity;
    int depth;
};

struct loop {
    const struct list *items;
    size_t index0;
    int depth;
};

/* Makers. Without memory the machine has failed, and a list or a dict is an empty one that takes nothing. */
struct value value_undefined(const char *name);
struct value value_none(void);
struct value value_boolean(bool boolean);
struct value value_integer(int64_t integer);
struct value value_float(double number);
struct value value_text(struct text text);
struct value value_string(const char *text); /* not copied */
struct value value_list(struct machine *machine);
struct value value_dict(struct machine *machine);
void list_add(struct machine *machine, struct list *list, struct value item);
void dict_set(struct machine *machine, struct dict *dict, struct value key, struct value value);
/* NULL: there is no such key. */
struct value *dict_find(const struct dict *dict, const char *key);
struct value *dict_find_value(const struct dict *dict, struct value key);

bool value_is_true(struct value value);
bool value_equals(struct value a, struct value b);
/* < 0, 0, > 0. Fails for kinds that have no order between them. */
int value_compare(struct machine *machine, struct value a, struct value b);
bool value_is_number(struct value value);
double value_number(struct value value);
const char *value_kind_name(struct value value); /* as Python names the type */

/* The items of a list, the keys of a dict, the characters of a text. Fails for what has none. */
struct list *value_items(struct machine *machine, struct value value);
size_t value_length(struct machine *machine, struct value value);

/* As Python prints it. */
struct text value_print(struct machine *machine, struct value value);
/* As Python's json.dumps(ensure_ascii=False); `indent` < 0: on one line. */
struct text value_json(struct machine *machine, struct value value, int indent);

#endif
