#include "common/rpc/token.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { RANDOM_BYTES = 32 };

enum status token_make(char token[TOKEN_SIZE], struct error *error)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[RANDOM_BYTES + 1] = {0};
    if (getrandom(bytes, RANDOM_BYTES, 0) != RANDOM_BYTES)
        return error_set(error, STATUS_UNAVAILABLE, "no random bytes: %s", strerror(errno));
    size_t n = (size_t)snprintf(token, TOKEN_SIZE, "millrace_");
    for (size_t bit = 0; bit < 8 * RANDOM_BYTES; bit += 6) {
        unsigned pair = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];
        token[n++] = alphabet[pair >> (10 - bit % 8) & 63];
    }
    token[n] = '\0';
    OPENSSL_cleanse(bytes, sizeof bytes);
    return STATUS_OK;
}

struct token_hash token_hash(const char *token, size_t size_bytes)
{
    struct token_hash hash;
    SHA256((const unsigned char *)token, size_bytes, hash.bytes);
    return hash;
}

bool token_hash_equal(const struct token_hash *left, const struct token_hash *right)
{
    return CRYPTO_memcmp(left->bytes, right->bytes, TOKEN_HASH_BYTES) == 0;
}

void token_hash_format(const struct token_hash *hash, char text[TOKEN_HASH_TEXT])
{
    for (int i = 0; i < TOKEN_HASH_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", hash->bytes[i]);
}

bool token_hash_parse(const char *text, struct token_hash *hash)
{
    if (strlen(text) != TOKEN_HASH_TEXT - 1 || strspn(text, "0123456789abcdefABCDEF") != TOKEN_HASH_TEXT - 1)
        return false;
    for (int i = 0; i < TOKEN_HASH_BYTES; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        hash->bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return true;
}

/* A header can carry printable ASCII without spaces. */
static bool is_token(const char *text)
{
    for (const char *at = text; *at; at++) {
        if (!isgraph((unsigned char)*at))
            return false;
    }
    return *text != '\0';
}

enum status token_read(const char *path, char **token, struct error *error)
{
    char line[TOKEN_BYTES_MAX + 2] = "";
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, errno == EACCES ? STATUS_PERMISSION_DENIED : STATUS_NOT_FOUND, "%s: %s", path,
                         strerror(errno));
    if (fgets(line, sizeof line, file))
        line[strcspn(line, "\r\n")] = '\0';
    fclose(file);
    bool good = is_token(line) && strlen(line) <= TOKEN_BYTES_MAX;
    char *copy = good ? strdup(line) : NULL;
    OPENSSL_cleanse(line, sizeof line);
    if (!good)
        return error_set(error, STATUS_FAILED_PRECONDITION,
                         "%s: its first line is no token: 1 to %d printable characters without spaces", path,
                         TOKEN_BYTES_MAX);
    if (!copy)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a token");
    *token = copy;
    return STATUS_OK;
}

void token_free(char *token)
{
    if (token)
        OPENSSL_cleanse(token, strlen(token));
    free(token);
}
