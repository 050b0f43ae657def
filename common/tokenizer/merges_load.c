/* model.merges: which neighbours become which word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/parts.h"

/* The two words of a merge, joined in `joined` as "left\0right\0", with `left_size` to tell them apart. */
static enum status split_merge(json_t *merge, size_t index, char **joined, size_t *left_size,
                               struct error *error)
{
    const char *left = NULL, *right = NULL;
    size_t size = 0;
    if (json_is_string(merge)) {
        const char *space = strchr(json_string_value(merge), ' ');
        left = json_string_value(merge);
        size = space ? (size_t)(space - left) : 0;
        right = space ? space + 1 : NULL;
    } else if (json_array_size(merge) == 2) {
        left = json_string_value(json_array_get(merge, 0));
        right = json_string_value(json_array_get(merge, 1));
        size = left ? strlen(left) : 0;
    }
    bool spaced = json_is_string(merge) && right && strchr(right, ' ');
    if (!left || !right || size == 0 || !*right || spaced)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "model.merges[%zu]: must be \"left right\" or [\"left\", \"right\"]", index);
    if (asprintf(joined, "%.*s%c%s", (int)size, left, '\0', right) < 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a merge");
    *left_size = size;
    return STATUS_OK;
}

static enum status find_word(json_t *vocab, const char *word, size_t index, int32_t *id, struct error *error)
{
    json_t *value = json_object_get(vocab, word);
    if (!value)
        return error_set(error, STATUS_INVALID_ARGUMENT, "model.merges[%zu]: '%.80s' is not in model.vocab",
                         index, word);
    *id = (int32_t)json_integer_value(value);
    return STATUS_OK;
}

static enum status load_merge(struct tokenizer *tokenizer, json_t *vocab, json_t *merge, size_t index,
                              struct error *error)
{
    char *words = NULL;
    size_t left_size = 0;
    int32_t left = 0, right = 0, result = 0;
    enum status status = split_merge(merge, index, &words, &left_size, error);
    if (status != STATUS_OK)
        return status;
    status = find_word(vocab, words, index, &left, error);
    if (status == STATUS_OK)
        status = find_word(vocab, words + left_size + 1, index, &right, error);
    if (status == STATUS_OK) {
        memmove(words + left_size, words + left_size + 1, strlen(words + left_size + 1) + 1);
        status = find_word(vocab, words, index, &result, error);
    }
    if (status == STATUS_OK && merge_table_add(&tokenizer->merges, left, right, result) != STATUS_OK)
        status = error_set(error, STATUS_INVALID_ARGUMENT,
                           "model.merges[%zu]: this pair has been merged before", index);
    free(words);
    return status;
}

enum status merges_load(struct tokenizer *tokenizer, json_t *model, json_t *vocab, struct error *error)
{
    json_t *list = json_object_get(model, "merges"), *merge;
    size_t index;
    if (!json_is_array(list))
        return error_set(error, STATUS_INVALID_ARGUMENT, "model.merges: missing, or no list");
    enum status status = merge_table_init(&tokenizer->merges, json_array_size(list), error);
    if (status != STATUS_OK)
        return status;
    json_array_foreach(list, index, merge)
    {
        status = load_merge(tokenizer, vocab, merge, index, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}
