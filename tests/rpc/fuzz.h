#ifndef MILLRACE_TESTS_RPC_FUZZ_H
#define MILLRACE_TESTS_RPC_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/*
 * What strangers send, fed any bytes: it must be refused with a sentence or hold together. Return 0 for bytes
 * that were refused, 1 for accepted ones. Drivers as in tests/model/fuzz.h: libFuzzer, and a bounded run that
 * CTest starts.
 */

/* The first byte chooses the type of message, the rest is the message. */
int fuzz_messages(const uint8_t *bytes, size_t size_bytes);
/* The file of clients. */
int fuzz_access(const uint8_t *bytes, size_t size_bytes);

#endif
