#ifndef MILLRACE_COMMON_CHAT_METHODS_H
#define MILLRACE_COMMON_CHAT_METHODS_H

#include "common/chat/call.h"

/* value.name and value[key], as Jinja looks for them: what is not there is undefined; of what is undefined it
 * is an error. */
struct value attribute_get(struct machine *machine, struct value value, const char *name);
struct value item_get(struct machine *machine, struct value value, struct value key);

/* value.name(...) for texts, dicts, lists and the loop. Fails for a method that is not supported. */
struct value method_call(struct machine *machine, struct value self, const char *name,
                         const struct call *call);

/* What methods and filters share. */
struct text text_lower(struct machine *machine, struct text text);
struct text text_upper(struct machine *machine, struct text text);
struct text text_capitalize(struct machine *machine, struct text text);
struct text text_title(struct machine *machine, struct text text);
/* The first `most` places, or all where it is negative. */
struct text text_replace(struct machine *machine, struct text text, struct text old, struct text with,
                         int64_t most);
struct value dict_items(struct machine *machine, const struct dict *dict);

#endif
