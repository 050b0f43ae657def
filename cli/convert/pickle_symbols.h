#ifndef MILLRACE_CLI_CONVERT_PICKLE_SYMBOLS_H
#define MILLRACE_CLI_CONVERT_PICKLE_SYMBOLS_H

#include "cli/convert/pickle.h"

/* The names that a pickle may use, and what a call of each of them does. */
enum symbol_meaning { MAKES_DICT, MAKES_TENSOR, PASSES_TENSOR, NAMES_STORAGE };

struct pickle_symbol {
    const char *module, *name;
    enum symbol_meaning meaning;
    enum dtype dtype; /* of NAMES_STORAGE */
};

/* NULL for a name that is not understood. */
const struct pickle_symbol *pickle_symbol_find(struct pickle_text module, struct pickle_text name);

/*
 * The three ways in which torch.save refers to something; each fills `made` from a tuple of arguments, or
 * returns the reason why it cannot.
 */
/* ('storage', torch.FloatStorage, key, location, number of elements) */
const char *pickle_make_storage(const struct pickle_items *arguments, struct pickle_value *made);
/* _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks, metadata) */
const char *pickle_make_tensor(const struct pickle_items *arguments, struct pickle_value *made);
/* Calls `symbol`. */
const char *pickle_call(const struct pickle_symbol *symbol, const struct pickle_items *arguments,
                        struct pickle_value *made);

#endif
