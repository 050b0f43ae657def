/* Opening and closing. */
#include "common/tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file_read.h"
#include "common/foreign_file.h"
#include "common/tokenizer/parts.h"

enum { FILE_BYTES_MAX = 128 << 20, VALUES_MAX = 8 << 20 };

/* A parsed file takes many times its size; commas are as many as values. */
static enum status check_commas(const char *json, size_t size_bytes, struct error *error)
{
    size_t n = 0;
    const char *at = json, *end = json + size_bytes;
    while ((at = memchr(at, ',', (size_t)(end - at))) != NULL) {
        n++;
        at++;
    }
    return n <= VALUES_MAX ? STATUS_OK
                           : error_set(error, STATUS_INVALID_ARGUMENT,
                                       "has %zu values; at most %d are supported", n, VALUES_MAX);
}

static enum status parse(const char *json, size_t size_bytes, json_t **root, struct error *error)
{
    json_error_t reason;
    enum status status = check_commas(json, size_bytes, error);
    if (status != STATUS_OK)
        return status;
    *root = json_loadb(json, size_bytes, JSON_REJECT_DUPLICATES, &reason);
    const char *instead = *root ? NULL : foreign_file(json, size_bytes);
    if (instead)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s", instead);
    if (!*root)
        return error_set(error, STATUS_INVALID_ARGUMENT, "no valid JSON: %s (line %d, column %d)",
                         reason.text, reason.line, reason.column);
    return STATUS_OK;
}

static enum status build(struct tokenizer *tokenizer, json_t *root, struct error *error)
{
    enum status status =
        json_is_object(root) ? STATUS_OK : error_set(error, STATUS_INVALID_ARGUMENT, "must be a JSON object");
    if (status == STATUS_OK)
        status = settings_load(tokenizer, root, error);
    return status == STATUS_OK ? vocabulary_load(tokenizer, root, error) : status;
}

static struct tokenizer *create(int n_ids)
{
    struct tokenizer *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->n_ids = n_ids;
    made->end_of_text = -1;
    made->words = calloc((size_t)n_ids + 1, sizeof *made->words);
    made->pieces = calloc((size_t)n_ids + 1, sizeof *made->pieces);
    made->flags = calloc((size_t)n_ids + 1, sizeof *made->flags);
    if (made->words && made->pieces && made->flags)
        return made;
    tokenizer_free(made);
    return NULL;
}

static enum status from_json(json_t *root, int n_ids, const char *where, struct tokenizer **tokenizer,
                             struct error *error)
{
    struct tokenizer *made = create(n_ids);
    enum status status =
        made ? build(made, root, error)
             : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a vocabulary of %d ids", n_ids);
    if (status != STATUS_OK) {
        error_prefix(error, "%s", where);
        tokenizer_free(made);
        return status;
    }
    *tokenizer = made;
    return STATUS_OK;
}

enum status tokenizer_parse(const char *json, size_t size_bytes, int n_ids, const char *where,
                            struct tokenizer **tokenizer, struct error *error)
{
    json_t *root = NULL;
    enum status status = parse(json, size_bytes, &root, error);
    if (status != STATUS_OK)
        return error_prefix(error, "%s", where);
    status = from_json(root, n_ids, where, tokenizer, error);
    json_decref(root);
    return status;
}

static enum status open_older(const char *directory, int n_ids, struct tokenizer **tokenizer,
                              struct error *missing, struct error *error)
{
    json_t *root = NULL;
    enum status status = older_files_read(directory, &root, error);
    if (status == STATUS_NOT_FOUND) {
        if (error)
            *error = *missing;
        return status;
    }
    if (status == STATUS_OK)
        status = from_json(root, n_ids, directory, tokenizer, error);
    json_decref(root);
    return status;
}

enum status tokenizer_open(const char *directory, int n_ids, struct tokenizer **tokenizer,
                           struct error *error)
{
    char *path = NULL, *json = NULL;
    size_t size = 0;
    struct error missing;
    if (asprintf(&path, "%s/tokenizer.json", directory) < 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a file name");
    enum status status = file_read(path, FILE_REGULAR, FILE_BYTES_MAX, &json, &size, &missing);
    if (status == STATUS_OK)
        status = tokenizer_parse(json, size, n_ids, path, tokenizer, error);
    else if (status == STATUS_NOT_FOUND)
        status = open_older(directory, n_ids, tokenizer, &missing, error);
    else if (error)
        *error = missing;
    free(json);
    free(path);
    return status;
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    free(tokenizer->words);
    free(tokenizer->pieces);
    free(tokenizer->flags);
    byte_store_release(&tokenizer->store);
    word_table_release(&tokenizer->table);
    merge_table_release(&tokenizer->merges);
    free(tokenizer->added.tokens);
    free(tokenizer->added_normalized.tokens);
    normalizer_release(&tokenizer->normalizer);
    pre_tokenizer_release(&tokenizer->pre_tokenizer);
    free(tokenizer);
}

struct token_piece tokenizer_piece(const struct tokenizer *tokenizer, int32_t id)
{
    if (id < 0 || id >= tokenizer->n_ids || !tokenizer->pieces[id].bytes)
        return (struct token_piece){"", 0};
    return tokenizer->pieces[id];
}

bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->n_ids && tokenizer->flags[id] & TOKEN_SPECIAL;
}

int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *word)
{
    size_t size = strlen(word);
    for (int32_t id = 0; id < tokenizer->n_ids; id++) {
        struct token_piece known = tokenizer->words[id];
        if (known.bytes && known.size_bytes == size && !memcmp(known.bytes, word, size))
            return id;
    }
    return -1;
}

int tokenizer_size(const struct tokenizer *tokenizer)
{
    return tokenizer->n_tokens;
}

int32_t tokenizer_end_of_text(const struct tokenizer *tokenizer)
{
    return tokenizer->end_of_text;
}
