#include "coordinator/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_ids(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

double text_entropy_bits(const int32_t *ids, size_t n_ids)
{
    int32_t *sorted = malloc(n_ids * sizeof *sorted + 1);
    double bits = 0;
    if (!sorted)
        return 0;
    memcpy(sorted, ids, n_ids * sizeof *sorted);
    qsort(sorted, n_ids, sizeof *sorted, compare_ids);
    for (size_t start = 0, end; start < n_ids; start = end) {
        for (end = start + 1; end < n_ids && sorted[end] == sorted[start]; end++)
            ;
        double p = (double)(end - start) / (double)n_ids;
        bits -= p * log2(p);
    }
    free(sorted);
    return bits;
}

/* Bytes of the character at `text`, by table 3-7 of the Unicode standard; 0 where there is none. */
static size_t character_bytes(const unsigned char *text, size_t size)
{
    unsigned char lead = text[0];
    size_t n = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (n == 0 || n > size)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((lead == 0xE0 && text[1] < 0xA0) || (lead == 0xED && text[1] > 0x9F) ||
        (lead == 0xF0 && text[1] < 0x90) || (lead == 0xF4 && text[1] > 0x8F))
        return 0; /* too long a form, a surrogate, above U+10FFFF */
    return n;
}

char *text_repair(const char *text, size_t size_bytes)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    char *repaired = malloc(3 * size_bytes + 1), *to = repaired;
    if (!repaired)
        return NULL;
    for (size_t i = 0; i < size_bytes;) {
        size_t n = character_bytes((const unsigned char *)text + i, size_bytes - i);
        const char *from = n && text[i] ? text + i : replacement;
        size_t n_copied = n && text[i] ? n : sizeof replacement - 1;
        memcpy(to, from, n_copied);
        to += n_copied;
        i += n ? n : 1;
    }
    *to = '\0';
    return repaired;
}
