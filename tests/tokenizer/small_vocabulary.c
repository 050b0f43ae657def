#include "tests/tokenizer/small_vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/byte_level.h"
#include "common/utf8.h"

static void add_bytes(json_t *vocab)
{
    for (uint32_t character = 0; character < 0x144; character++) {
        int byte = byte_level_byte(character);
        char word[5] = "";
        utf8_write(character, word);
        if (byte >= 0)
            json_object_set_new(vocab, word, json_integer(byte));
    }
}

json_t *small_vocabulary(void)
{
    json_t *vocab = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "he", 256, "ll", 257, "hell", 258, "hello",
                              259, "aa", 260, "aaaa", 261);
    add_bytes(vocab);
    json_t *merges = json_pack("[s, s, s, [s, s], s, s]", "h e", "l l", "he ll", "hell", "o", "a a", "aa aa");
    return json_pack("{s:s, s:[{s:i, s:s, s:b}, {s:i, s:s}], s:n, s:{s:s, s:b}, s:{s:s}, s:{s:s, s:o, s:o}}",
                     "version", "1.0", "added_tokens", "id", 262, "content", "<|endoftext|>", "special", 1,
                     "id", 263, "content", "<|end|>", "normalizer", "pre_tokenizer", "type", "ByteLevel",
                     "add_prefix_space", 0, "decoder", "type", "ByteLevel", "model", "type", "BPE", "vocab",
                     vocab, "merges", merges);
}

static json_t *step_into(json_t *node, const char *name)
{
    return json_is_array(node) ? json_array_get(node, (size_t)atoi(name)) : json_object_get(node, name);
}

void small_vocabulary_set(json_t *root, const char *path, const char *value)
{
    char copy[128];
    snprintf(copy, sizeof copy, "%s", path);
    json_t *node = root;
    char *name = copy;
    for (char *dot; (dot = strchr(name, '.')) != NULL; name = dot + 1) {
        *dot = '\0';
        node = step_into(node, name);
    }
    if (!*value)
        json_object_del(node, name);
    else if (!strcmp(name, "+"))
        json_array_append_new(node, json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_set_new(node, name, json_loads(value, JSON_DECODE_ANY, NULL));
}

enum status small_vocabulary_parse(json_t *root, struct tokenizer **tokenizer, struct error *error)
{
    char *json = json_dumps(root, 0);
    json_decref(root);
    enum status status =
        tokenizer_parse(json, strlen(json), SMALL_VOCABULARY_IDS, "t.json", tokenizer, error);
    free(json);
    return status;
}
