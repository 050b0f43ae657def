#include "common/tokenizer/normal_form.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "common/utf8.h"

enum { DECOMPOSED_MAX = 32 }; /* characters that one may become; Unicode 16 has at most 18 */

struct characters {
    utf8proc_int32_t *values;
    size_t n, capacity;
};

static bool add(struct characters *list, const utf8proc_int32_t *values, size_t n)
{
    if (list->capacity - list->n < n) {
        size_t capacity = list->capacity + list->capacity / 2 + n + 64;
        utf8proc_int32_t *grown = realloc(list->values, capacity * sizeof *grown);
        if (!grown)
            return false;
        list->values = grown;
        list->capacity = capacity;
    }
    memcpy(list->values + list->n, values, n * sizeof *values);
    list->n += n;
    return true;
}

static bool decompose(struct normal_form form, const char *text, size_t size, struct characters *out)
{
    utf8proc_option_t options =
        form.compatibility ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE;
    for (size_t at = 0; at < size;) {
        uint32_t character = 0;
        utf8proc_int32_t parts[DECOMPOSED_MAX];
        int n = utf8_read(text + at, size - at, &character), last = 0;
        at += (size_t)(n ? n : 1);
        utf8proc_ssize_t n_parts =
            utf8proc_decompose_char((utf8proc_int32_t)character, parts, DECOMPOSED_MAX, options, &last);
        if (n_parts < 0 || n_parts > DECOMPOSED_MAX || !add(out, parts, (size_t)n_parts))
            return false;
    }
    return true;
}

/* Combining class in the high half, place in the low one: sorting these is stable. */
static int compare_marks(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static unsigned combining_class(utf8proc_int32_t character)
{
    return character < 0x300 ? 0 : (unsigned)utf8proc_get_property(character)->combining_class;
}

static bool sort_marks(utf8proc_int32_t *marks, size_t n)
{
    uint64_t *keys = malloc(n * sizeof *keys);
    utf8proc_int32_t *sorted = malloc(n * sizeof *sorted);
    if (keys && sorted) {
        for (size_t i = 0; i < n; i++)
            keys[i] = (uint64_t)combining_class(marks[i]) << 32 | i;
        qsort(keys, n, sizeof *keys, compare_marks);
        for (size_t i = 0; i < n; i++)
            sorted[i] = marks[(uint32_t)keys[i]];
        memcpy(marks, sorted, n * sizeof *marks);
    }
    bool done = keys && sorted;
    free(keys);
    free(sorted);
    return done;
}

/* The canonical order: every run of combining marks by their classes. */
static bool reorder(struct characters *list)
{
    for (size_t at = 0; at < list->n; at++) {
        size_t end = at;
        while (end < list->n && combining_class(list->values[end]) != 0)
            end++;
        if (end - at > 1 && !sort_marks(list->values + at, end - at))
            return false;
        at = end;
    }
    return true;
}

/* Below U+0300 nothing composes and nothing is a mark; the four forms differ only for characters above ASCII.
 */
static size_t unchanged_size(struct normal_form form, const char *text, size_t size)
{
    unsigned char limit = form.compose && !form.compatibility ? 0xCC : 0x80;
    size_t at = 0;
    while (at < size && (unsigned char)text[at] < limit)
        at++;
    return at;
}

enum status normal_form_append(struct normal_form form, const char *text, size_t size_bytes,
                               struct text_buffer *out, struct error *error)
{
    if (unchanged_size(form, text, size_bytes) == size_bytes) {
        text_buffer_append(out, text, size_bytes);
        return STATUS_OK;
    }
    struct characters list = {0};
    bool done = decompose(form, text, size_bytes, &list) && reorder(&list);
    if (done && form.compose) {
        utf8proc_ssize_t n = utf8proc_normalize_utf32(list.values, (utf8proc_ssize_t)list.n,
                                                      UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        done = n >= 0;
        list.n = done ? (size_t)n : 0;
    }
    for (size_t i = 0; i < list.n; i++)
        text_buffer_append_character(out, (uint32_t)list.values[i]);
    free(list.values);
    return done ? STATUS_OK
                : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to normalize a text of %zu bytes",
                            size_bytes);
}
