#include "common/tokenizer/added_tokens.h"

#include <stdlib.h>
#include <string.h>

static int compare_tokens(const void *a, const void *b)
{
    struct token_piece left = ((const struct added_token *)a)->content,
                       right = ((const struct added_token *)b)->content;
    size_t shorter = left.size_bytes < right.size_bytes ? left.size_bytes : right.size_bytes;
    int order = memcmp(left.bytes, right.bytes, shorter);
    if (order)
        return order;
    return (left.size_bytes > right.size_bytes) - (left.size_bytes < right.size_bytes);
}

void added_tokens_sort(struct added_tokens *added)
{
    if (added->n)
        qsort(added->tokens, added->n, sizeof *added->tokens, compare_tokens);
}

/* The first of tokens [low, high) whose byte at `depth` is `least` or more. In [low, high) only the first
 * token may be too short to have that byte. */
static size_t lower_bound(const struct added_tokens *added, size_t low, size_t high, size_t depth, int least)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct token_piece content = added->tokens[middle].content;
        if (content.size_bytes <= depth || (unsigned char)content.bytes[depth] < least)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Narrows the sorted tokens, byte by byte, to those that begin with the same bytes as the text. */
const struct added_token *added_tokens_match(const struct added_tokens *added, const char *text,
                                             size_t size_bytes)
{
    const struct added_token *longest = NULL;
    size_t low = 0, high = added->n;
    for (size_t depth = 0; depth < size_bytes && low < high; depth++) {
        int byte = (unsigned char)text[depth];
        low = lower_bound(added, low, high, depth, byte);
        high = lower_bound(added, low, high, depth, byte + 1);
        if (low < high && added->tokens[low].content.size_bytes == depth + 1)
            longest = &added->tokens[low];
    }
    return longest;
}

bool added_tokens_has_id(const struct added_tokens *added, int32_t id)
{
    for (size_t i = 0; i < added->n; i++) {
        if (added->tokens[i].id == id)
            return true;
    }
    return false;
}
