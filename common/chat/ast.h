#ifndef MILLRACE_COMMON_CHAT_AST_H
#define MILLRACE_COMMON_CHAT_AST_H

#include "common/chat/value.h"

/* A parsed template. What the fields hold depends on the kind. */
enum node_kind {
    /* expressions */
    NODE_CONSTANT,  /* constant */
    NODE_NAME,      /* name */
    NODE_LIST,      /* list; flag: a tuple */
    NODE_DICT,      /* list: key, value, key, value, ... */
    NODE_ATTRIBUTE, /* a.name */
    NODE_ITEM,      /* a[b] */
    NODE_SLICE,     /* a[b:c:d]; each may be missing */
    NODE_CALL,      /* a(list); an argument with a name is a keyword's */
    NODE_FILTER,    /* a | name(list) */
    NODE_TEST,      /* a is name(list); flag: is not */
    NODE_UNARY,     /* name a: "-", "+", "not" */
    NODE_BINARY,    /* a name b */
    NODE_COMPARE,   /* a, then list of b with its operator as name: a < b < c */
    NODE_AND,
    NODE_OR,
    NODE_CHOOSE, /* a if b else c; c may be missing */
    /* statements */
    NODE_DATA,  /* constant, as it stands */
    NODE_PRINT, /* a */
    NODE_IF,    /* if a: body; else: other */
    NODE_FOR,   /* for target in a if b: body; else: other */
    NODE_SET,   /* target = a; a missing: target = what `body` writes, through the filters of `b` if there */
    NODE_MACRO, /* name(list): body; each of list has a name and perhaps its default as a */
    NODE_WITH,  /* list of (target, a): body */
    NODE_FILTERED, /* body, through the filters of b */
    NODE_BREAK,
    NODE_CONTINUE,
    NODE_GROUP, /* body */
};

struct node {
    enum node_kind kind;
    int line;
    bool flag;
    const char *name;
    struct value constant;
    struct node *a, *b, *c, *d;
    struct node *list;         /* linked by next */
    struct node *target;       /* NODE_NAME, NODE_LIST of names, or NODE_ATTRIBUTE of a namespace */
    struct node *body, *other; /* statements, linked by next */
    struct node *next;
};

enum { NESTING_MAX = 100 };

#endif
