/* Opening, closing, and the way back from ids to bytes. */
#include "common/tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file_read.h"
#include "common/foreign_file.h"
#include "common/tokenizer/parts.h"

enum { FILE_BYTES_MAX = 256 << 20 };

static enum status build(struct tokenizer *tokenizer, const char *json, size_t size_bytes,
                         struct error *error)
{
    json_error_t reason;
    json_t *root = json_loadb(json, size_bytes, JSON_REJECT_DUPLICATES, &reason);
    const char *instead = root ? NULL : foreign_file(json, size_bytes);
    if (instead)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s", instead);
    if (!root)
        return error_set(error, STATUS_INVALID_ARGUMENT, "no valid JSON: %s (line %d, column %d)",
                         reason.text, reason.line, reason.column);
    enum status status =
        json_is_object(root) ? STATUS_OK : error_set(error, STATUS_INVALID_ARGUMENT, "must be a JSON object");
    if (status == STATUS_OK)
        status = settings_load(tokenizer, root, error);
    if (status == STATUS_OK)
        status = vocabulary_load(tokenizer, root, error);
    if (status == STATUS_OK && json_is_true(json_object_get(json_object_get(root, "model"), "ignore_merges")))
        status = whole_words_check(tokenizer, error);
    json_decref(root);
    return status;
}

enum status tokenizer_parse(const char *json, size_t size_bytes, int n_ids, const char *where,
                            struct tokenizer **tokenizer, struct error *error)
{
    struct tokenizer *made = calloc(1, sizeof *made);
    if (made) {
        made->n_ids = n_ids;
        made->end_of_text = -1;
        made->pieces = calloc((size_t)n_ids + 1, sizeof *made->pieces);
        made->piece_bytes = malloc(size_bytes + 1);
    }
    enum status status;
    if (!made || !made->pieces || !made->piece_bytes)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a vocabulary of %d ids", n_ids);
    else
        status = build(made, json, size_bytes, error);
    if (status != STATUS_OK) {
        error_prefix(error, "%s", where);
        tokenizer_free(made);
        return status;
    }
    *tokenizer = made;
    return STATUS_OK;
}

enum status tokenizer_open(const char *directory, int n_ids, struct tokenizer **tokenizer,
                           struct error *error)
{
    char *path = NULL, *json = NULL;
    size_t size = 0;
    if (asprintf(&path, "%s/tokenizer.json", directory) < 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a file name");
    enum status status = file_read(path, FILE_REGULAR, FILE_BYTES_MAX, &json, &size, error);
    if (status == STATUS_OK)
        status = tokenizer_parse(json, size, n_ids, path, tokenizer, error);
    free(json);
    free(path);
    return status;
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    free(tokenizer->pieces);
    free(tokenizer->piece_bytes);
    merge_table_release(&tokenizer->merges);
    free(tokenizer->added.tokens);
    pcre2_code_free(tokenizer->pattern);
    free(tokenizer);
}

struct token_piece tokenizer_piece(const struct tokenizer *tokenizer, int32_t id)
{
    if (id < 0 || id >= tokenizer->n_pieces)
        return (struct token_piece){"", 0};
    return tokenizer->pieces[id];
}

int tokenizer_size(const struct tokenizer *tokenizer)
{
    return tokenizer->n_pieces;
}

int32_t tokenizer_end_of_text(const struct tokenizer *tokenizer)
{
    return tokenizer->end_of_text;
}

enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n_ids, char **text,
                             size_t *size_bytes, struct error *error)
{
    size_t size = 0;
    for (size_t i = 0; i < n_ids; i++) {
        if (ids[i] < 0 || ids[i] >= tokenizer->n_ids)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "ids[%zu] is %d; the model's vocabulary allows 0 to %d", i, ids[i],
                             tokenizer->n_ids - 1);
        size += tokenizer_piece(tokenizer, ids[i]).size_bytes;
    }
    char *joined = malloc(size + 1), *end = joined;
    if (!joined)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text of %zu bytes", size);
    for (size_t i = 0; i < n_ids; i++) {
        struct token_piece piece = tokenizer_piece(tokenizer, ids[i]);
        memcpy(end, piece.bytes, piece.size_bytes);
        end += piece.size_bytes;
    }
    *end = '\0';
    *text = joined;
    *size_bytes = size;
    return STATUS_OK;
}
