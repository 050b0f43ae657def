/*
 * For comparing with another tokenizer: tokenize_lines DIRECTORY N_IDS. Each line of the input is a JSON
 * object:
 * {"text": T} and optionally {"as_text": true, "add_special": true}, or {"decode": [ids]}. Each line of the
 * output is
 * {"ids": [...]}, or {"text": T, "skipped": T, "streamed": bool}, or {"error": sentence}.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/tokenizer.h"

static json_t *encode(const struct tokenizer *tokenizer, json_t *line, struct error *error)
{
    json_t *text = json_object_get(line, "text");
    const struct tokenizer_options options = {
        .special_as_text = json_is_true(json_object_get(line, "as_text")),
        .add_special = json_is_true(json_object_get(line, "add_special"))};
    int32_t *ids = NULL;
    size_t n = 0;
    if (tokenizer_encode_with(tokenizer, &options, json_string_value(text), json_string_length(text), &ids,
                              &n, error) != STATUS_OK)
        return json_pack("{s:s}", "error", error->text);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(ids[i]));
    free(ids);
    return json_pack("{s:o}", "ids", list);
}

static bool streams_alike(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, const char *wanted,
                          size_t wanted_size)
{
    struct tokenizer_stream *stream = NULL;
    struct error error;
    const char *part = NULL;
    size_t size = 0, at = 0;
    bool alike = tokenizer_stream_open(tokenizer, false, &stream, &error) == STATUS_OK;
    for (size_t i = 0; alike && i <= n; i++) {
        alike = (i < n ? tokenizer_stream_push(stream, ids[i], &part, &size, &error)
                       : tokenizer_stream_finish(stream, &part, &size, &error)) == STATUS_OK &&
                size <= wanted_size - at && !memcmp(wanted + at, part, size);
        at += size;
    }
    tokenizer_stream_close(stream);
    return alike && at == wanted_size;
}

static json_t *decode(const struct tokenizer *tokenizer, json_t *list, struct error *error)
{
    size_t n = json_array_size(list), size = 0, skipped_size = 0;
    int32_t *ids = calloc(n + 1, sizeof *ids);
    char *text = NULL, *skipped = NULL;
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    json_t *answer;
    if (tokenizer_decode_text(tokenizer, ids, n, false, &text, &size, error) != STATUS_OK ||
        tokenizer_decode_text(tokenizer, ids, n, true, &skipped, &skipped_size, error) != STATUS_OK)
        answer = json_pack("{s:s}", "error", error->text);
    else
        answer = json_pack("{s:s%, s:s%, s:b}", "text", text, size, "skipped", skipped, skipped_size,
                           "streamed", streams_alike(tokenizer, ids, n, text, size));
    free(ids);
    free(text);
    free(skipped);
    return answer;
}

int main(int argc, char **argv)
{
    struct tokenizer *tokenizer = NULL;
    struct error error;
    if (argc != 3 || tokenizer_open(argv[1], atoi(argv[2]), &tokenizer, &error) != STATUS_OK) {
        fprintf(stderr, "tokenize_lines: %s\n", argc == 3 ? error.text : "DIRECTORY N_IDS");
        return EXIT_FAILURE;
    }
    json_t *line;
    while ((line = json_loadf(stdin, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL)) != NULL) {
        json_t *ids = json_object_get(line, "decode");
        json_t *answer = ids ? decode(tokenizer, ids, &error) : encode(tokenizer, line, &error);
        json_dumpf(answer, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(answer);
        json_decref(line);
    }
    tokenizer_free(tokenizer);
    return EXIT_SUCCESS;
}
