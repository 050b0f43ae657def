#ifndef MILLRACE_COORDINATOR_REQUEST_RENDER_TEXT_H
#define MILLRACE_COORDINATOR_REQUEST_RENDER_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* The entropy, in bits, of the histogram of a text's own tokens: −Σ p log2 p with p = count / n. 0 for no
 * tokens, and where there is no memory. */
double text_entropy_bits(const int32_t *ids, size_t n_ids);

/*
 * A text of byte-level tokens need not be UTF-8, but a proto3 string must be, and without a NUL for our
 * readers. Every byte that cannot be part of such a string becomes U+FFFD. Returns a malloc'ed copy with a
 * terminator; NULL: no memory.
 */
char *text_repair(const char *text, size_t size_bytes);

#endif
