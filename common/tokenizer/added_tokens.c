#include "common/tokenizer/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/unicode.h"
#include "common/utf8.h"

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
    memset(added->begins, 0, sizeof added->begins);
    if (added->n)
        qsort(added->tokens, added->n, sizeof *added->tokens, compare_tokens);
    for (size_t i = 0; i < added->n; i++)
        added->begins[(unsigned char)added->tokens[i].content.bytes[0]] = true;
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

/* The longest token with which text[at] begins, or NULL. Narrows the sorted tokens, byte by byte, to those
 * that begin with the same bytes as the text. */
static const struct added_token *match(const struct added_tokens *added, const char *text, size_t size_bytes,
                                       size_t at)
{
    const struct added_token *longest = NULL;
    size_t low = 0, high = added->n;
    for (size_t depth = 0; at + depth < size_bytes && low < high; depth++) {
        int byte = (unsigned char)text[at + depth];
        low = lower_bound(added, low, high, depth, byte);
        high = lower_bound(added, low, high, depth, byte + 1);
        if (low < high && added->tokens[low].content.size_bytes == depth + 1)
            longest = &added->tokens[low];
    }
    return longest;
}

/* How much of text[start, end) comes from users. */
static size_t count_users(const struct added_filter *filter, size_t start, size_t end)
{
    size_t n = 0;
    for (size_t i = start; filter->users && i < end; i++)
        n += filter->users[i] != 0;
    return n;
}

/* The start of the character that ends at `end`; 0 < end. */
static size_t character_before(const char *text, size_t end)
{
    do {
        end--;
    } while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80);
    return end;
}

static bool stands_alone(const char *text, size_t size, size_t start, size_t end)
{
    uint32_t character = 0;
    if (start > 0) {
        size_t before = character_before(text, start);
        if (utf8_read(text + before, start - before, &character) && unicode_is_word(character))
            return false;
    }
    return end == size || !utf8_read(text + end, size - end, &character) || !unicode_is_word(character);
}

static void take_spaces(const struct added_token *token, const char *text, size_t size, size_t done,
                        struct added_part *part)
{
    uint32_t character = 0;
    while (token->left && part->start > done) {
        size_t before = character_before(text, part->start);
        if (!utf8_read(text + before, part->start - before, &character) || !unicode_is_space(character))
            break;
        part->start = before;
    }
    if (part->start < done)
        part->start = done;
    int n;
    while (token->right && part->end < size &&
           (n = utf8_read(text + part->end, size - part->end, &character)) > 0 && unicode_is_space(character))
        part->end += (size_t)n;
}

/* Is the token found at [at, end) one? If not, *next is where to look on: behind it, but for a special token
 * that is partly a user's, of which the rest may begin another. */
static bool may_stand(const struct added_filter *filter, const struct added_token *token, const char *text,
                      size_t size_bytes, size_t at, size_t *next)
{
    size_t end = at + token->content.size_bytes, n_users = token->special ? count_users(filter, at, end) : 0;
    *next = n_users == 0 || n_users == end - at ? end : at + 1;
    if (token->special && (filter->no_special || n_users))
        return false;
    return !token->whole_word || stands_alone(text, size_bytes, at, end);
}

static bool find_token(const struct added_tokens *added, const struct added_filter *filter, const char *text,
                       size_t size_bytes, struct added_walk *walk)
{
    for (size_t at = walk->looked, next; at < size_bytes; at = next) {
        const struct added_token *token =
            added->begins[(unsigned char)text[at]] ? match(added, text, size_bytes, at) : NULL;
        next = at + 1;
        if (!token || !may_stand(filter, token, text, size_bytes, at, &next))
            continue;
        walk->looked = next;
        walk->token = (struct added_part){at, next, token->id};
        take_spaces(token, text, size_bytes, walk->done, &walk->token);
        return true;
    }
    walk->looked = size_bytes;
    return false;
}

bool added_tokens_next(const struct added_tokens *added, const struct added_filter *filter, const char *text,
                       size_t size_bytes, struct added_walk *walk, struct added_part *part)
{
    if (!walk->has_token) {
        walk->has_token = find_token(added, filter, text, size_bytes, walk);
        size_t end = walk->has_token ? walk->token.start : size_bytes;
        if (end > walk->done) {
            *part = (struct added_part){walk->done, end, -1};
            walk->done = end;
            return true;
        }
    }
    if (!walk->has_token)
        return false;
    *part = walk->token;
    walk->done = walk->token.end;
    walk->has_token = false;
    return true;
}
