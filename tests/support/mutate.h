#ifndef MILLRACE_TESTS_SUPPORT_MUTATE_H
#define MILLRACE_TESTS_SUPPORT_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* A sequence of random numbers that is the same each time (xorshift64*, Vigna, arXiv 1402.6246). */
struct sequence {
    uint64_t state; /* not 0 */
};
uint64_t sequence_next(struct sequence *sequence);
size_t sequence_below(struct sequence *sequence, size_t n); /* n > 0 */

/* Changes bytes[*size_bytes] in one to four places: bits, bytes, numbers, tokens, runs that are taken out,
 * doubled or moved. The buffer has room for `room`. */
void mutate(struct sequence *sequence, uint8_t *bytes, size_t *size_bytes, size_t room);

#endif
