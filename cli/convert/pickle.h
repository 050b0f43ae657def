#ifndef MILLRACE_CLI_CONVERT_PICKLE_H
#define MILLRACE_CLI_CONVERT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/dtype.h"
#include "common/status.h"

/*
 * A pickle machine that can only build data.
 *
 * A pickle is a program for a stack machine. Python's machine runs whatever the program names, so loading the
 * checkpoint of a stranger runs the stranger's code. Here a name ("global") becomes one of a few symbols
 * (pickle_symbols.c), or an opaque value that has nothing but this name. The only calls make an empty dict or
 * describe a tensor. Nothing of the file is executed, because nothing here could execute it.
 *
 * The language: https://github.com/python/cpython/blob/main/Lib/pickletools.py (protocols 2 to 5, the opcodes
 * that torch.save writes for state dicts and optimizers).
 *
 * Bounds. Values come from an arena of at most 48 bytes for each byte of the pickle (checkpoints need about
 * 15) and 64 KiB; the stack and the memo take at most 16 more each. Values are never walked recursively, so
 * nesting and cycles cost nothing; open marks are limited to 1000. Time is linear in the size of the pickle.
 */
enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INTEGER,
    PICKLE_REAL,
    PICKLE_TEXT,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_SYMBOL,
    PICKLE_STORAGE,
    PICKLE_TENSOR,
    PICKLE_OPAQUE,
};

struct pickle_text {
    const char *bytes; /* in the pickle; not terminated, any bytes */
    size_t size_bytes;
};

struct pickle_items {
    struct pickle_value **items; /* of a dict: key, value, key, value, ... in the order they were set */
    size_t n, room;
};

/* A record of the archive: "data/KEY". */
struct pickle_storage {
    struct pickle_text key; /* 1 to 32 of 0-9 A-Z a-z _ */
    int64_t n_elements;     /* 0 or more */
    enum dtype dtype;
};

/* A view of a storage. shape and strides are tuples of equally many whole numbers, 0 or more. The view is not
 * checked against the size of the storage. */
struct pickle_tensor {
    const struct pickle_storage *storage;
    const struct pickle_items *shape, *strides;
    int64_t offset; /* elements, 0 or more */
    bool negated;   /* its values are those of the storage times -1 */
};

/* A value that is not understood: it keeps the name of the class or function that was to make it. The module
 * is empty where the name says all. */
struct pickle_opaque {
    struct pickle_text module, name;
};

struct pickle_value {
    enum pickle_kind kind;
    union {
        int64_t integer; /* BOOL too */
        double real;
        struct pickle_text text;
        struct pickle_items items; /* TUPLE, LIST, DICT */
        const struct pickle_symbol *symbol;
        struct pickle_storage storage;
        struct pickle_tensor tensor;
        struct pickle_opaque opaque;
    };
};

struct pickle; /* all values of one program */

/* Runs the program. `bytes` must outlive the pickle. Errors name the byte, what was found and what is
 * allowed. */
enum status pickle_parse(const void *bytes, size_t size_bytes, struct pickle **pickle, struct error *error);
void pickle_free(struct pickle *pickle); /* NULL is allowed */

/* What the program left. */
const struct pickle_value *pickle_root(const struct pickle *pickle);

/* The value at a text key of a dict, the last where there are several; NULL when there is none or `dict` is
 * no dict. */
const struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key);

/* Writes "module.name" of an opaque value for messages, printable and cut to the room. */
enum { PICKLE_NAME_ROOM = 100 };
const char *pickle_opaque_name(const struct pickle_value *value, char to[PICKLE_NAME_ROOM]);

bool pickle_text_equals(const struct pickle_value *value, const char *text); /* false for other kinds */

#endif
