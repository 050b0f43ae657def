#ifndef MILLRACE_COORDINATOR_REQUEST_RENDER_TEXT_H
#define MILLRACE_COORDINATOR_REQUEST_RENDER_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Entropy in bits of the text's own token histogram: −Σ p log2 p, p = count / n. 0 for no tokens, and without
 * memory. */
double text_entropy_bits(const int32_t *ids, size_t n_ids);

/*
 * A proto3 string must be UTF-8 without a NUL for our readers, and a text of byte-level tokens need not be:
 * every byte that cannot stand in one becomes U+FFFD. Returns a malloc'ed terminated copy, NULL without
 * memory.
 */
char *text_repair(const char *text, size_t size_bytes);

#endif
