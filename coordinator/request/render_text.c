#include "coordinator/request/render_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

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

char *text_repair(const char *text, size_t size_bytes)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    char *repaired = malloc(3 * size_bytes + 1), *to = repaired;
    if (!repaired)
        return NULL;
    for (size_t i = 0; i < size_bytes;) {
        uint32_t character = 0;
        int n = utf8_read(text + i, size_bytes - i, &character);
        bool stands = n > 0 && character != 0;
        memcpy(to, stands ? text + i : replacement, stands ? (size_t)n : 3);
        to += stands ? n : 3;
        i += n > 0 ? (size_t)n : 1;
    }
    *to = '\0';
    return repaired;
}
