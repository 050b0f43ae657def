#include "common/tokenizer/pieces.h"

#include <stdlib.h>

/* Room for one more item of `size` bytes. */
static bool grow(void **items, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return true;
    size_t larger = *capacity + *capacity / 2 + 64;
    void *grown = realloc(*items, larger * size);
    if (!grown)
        return false;
    *items = grown;
    *capacity = larger;
    return true;
}

bool pieces_add(struct pieces *pieces, size_t start, size_t end)
{
    void *spans = pieces->spans;
    if (start == end)
        return true;
    if (!grow(&spans, pieces->n, &pieces->capacity, sizeof *pieces->spans))
        return false;
    pieces->spans = spans;
    pieces->spans[pieces->n++] = (struct span){start, end};
    return true;
}

void pieces_release(struct pieces *pieces)
{
    text_buffer_release(&pieces->text);
    free(pieces->spans);
    *pieces = (struct pieces){0};
}

bool match_list_add(struct match_list *list, size_t start, size_t end, bool is_match)
{
    void *items = list->items;
    if (!grow(&items, list->n, &list->capacity, sizeof *list->items))
        return false;
    list->items = items;
    list->items[list->n++] = (struct match){{start, end}, is_match};
    return true;
}

/* Does part i go into the piece of part i - 1? */
static bool joins_previous(const struct match_list *list, size_t i, enum split_behavior behavior)
{
    bool now = list->items[i].is_match, before = list->items[i - 1].is_match;
    switch (behavior) {
    case SPLIT_CONTIGUOUS:
        return now == before;
    case SPLIT_MERGED_WITH_PREVIOUS:
        return now && !before;
    case SPLIT_MERGED_WITH_NEXT:
        return before && !now;
    default:
        return false;
    }
}

bool pieces_add_matches(struct pieces *pieces, const struct match_list *list, enum split_behavior behavior)
{
    for (size_t i = 0; i < list->n;) {
        size_t start = list->items[i].span.start, first = i;
        while (++i < list->n && joins_previous(list, i, behavior))
            continue;
        if (behavior == SPLIT_REMOVED && list->items[first].is_match)
            continue;
        if (!pieces_add(pieces, start, list->items[i - 1].span.end))
            return false;
    }
    return true;
}
