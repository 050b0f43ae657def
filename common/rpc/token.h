#ifndef MILLRACE_COMMON_RPC_TOKEN_H
#define MILLRACE_COMMON_RPC_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/*
 * Bearer tokens. A token is 256 random bits, so nobody can find it from its SHA-256. Somebody who reads the
 * file of hashes still cannot call. A password that a person chose would need a salt and a slow hash; a token
 * does not.
 */
enum {
    TOKEN_SIZE = 9 + 43 + 1, /* "millrace_", 32 bytes in the URL-safe alphabet of base64, NUL */
    TOKEN_HASH_BYTES = 32,
    TOKEN_HASH_TEXT = 2 * TOKEN_HASH_BYTES + 1,
    TOKEN_BYTES_MAX = 4096, /* of a token that another program made */
};

struct token_hash {
    uint8_t bytes[TOKEN_HASH_BYTES];
};

/* UNAVAILABLE: the system has no random bytes. */
enum status token_make(char token[TOKEN_SIZE], struct error *error);

/* The SHA-256 of the token's bytes without a line's end, as `printf %s TOKEN | sha256sum` prints it. */
struct token_hash token_hash(const char *token, size_t size_bytes);
/* Takes the same time wherever they differ. */
bool token_hash_equal(const struct token_hash *left, const struct token_hash *right);
void token_hash_format(const struct token_hash *hash, char text[TOKEN_HASH_TEXT]);
/* False: these are not 64 hexadecimal digits. */
bool token_hash_parse(const char *text, struct token_hash *hash);

/* Reads the token from a file's first line. Free with token_free. No sentence ever holds the token. */
enum status token_read(const char *path, char **token, struct error *error);
void token_free(char *token); /* overwrites it first; NULL is allowed */

#endif
