#include "common/nearest.h"

#include <stddef.h>
#include <string.h>

enum { WORD_MAX = 64 };

static int least_of(int a, int b, int c)
{
    int least = a < b ? a : b;
    return least < c ? least : c;
}

int edit_distance(const char *a, const char *b)
{
    size_t a_size = strnlen(a, WORD_MAX), b_size = strnlen(b, WORD_MAX);
    int rows[3][WORD_MAX + 1]; /* rows[i % 3][j]: distance of the first i letters of a to the first j of b */
    for (size_t i = 0; i <= a_size; i++) {
        int *now = rows[i % 3], *before = rows[(i + 2) % 3], *two_before = rows[(i + 1) % 3];
        for (size_t j = 0; j <= b_size; j++) {
            if (i == 0 || j == 0) {
                now[j] = (int)(i + j);
                continue;
            }
            now[j] = least_of(before[j] + 1, now[j - 1] + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                two_before[j - 2] + 1 < now[j])
                now[j] = two_before[j - 2] + 1;
        }
    }
    return rows[a_size % 3][b_size];
}

const char *nearer_name(const char *typed, const char *best, const char *candidate)
{
    size_t typed_size = strlen(typed), size = strlen(candidate);
    int limit = (int)(typed_size > size ? typed_size : size) / 3;
    if (limit < 1)
        limit = 1;
    int distance = edit_distance(typed, candidate);
    if (distance > limit || (best && edit_distance(typed, best) <= distance))
        return best;
    return candidate;
}
