#include "common/chat/call.h"

bool call_has(const struct call *call, size_t place, const char *name)
{
    return place < call->n || (name && dict_find(call->keywords, name));
}

struct value call_argument(const struct call *call, size_t place, const char *name, struct value fallback)
{
    if (place < call->n)
        return call->positional[place];
    struct value *keyword = name ? dict_find(call->keywords, name) : NULL;
    return keyword ? *keyword : fallback;
}
