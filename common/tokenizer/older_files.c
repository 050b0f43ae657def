/* Directories without tokenizer.json: vocab.json and merges.txt of byte-level BPE, or BERT's vocab.txt. They
 * become the tokenizer.json that the reference library would write for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file_read.h"
#include "common/tokenizer/parts.h"
#include "common/utf8.h"

enum { FILE_BYTES_MAX = 64 << 20 };

static enum status read_text(const char *directory, const char *name, char **text, size_t *size,
                             struct error *error)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a file name");
    enum status status = file_read(path, FILE_REGULAR, FILE_BYTES_MAX, text, size, error);
    if (status == STATUS_OK && utf8_valid_size(*text, *size) < *size) {
        free(*text);
        *text = NULL;
        status = error_set(error, STATUS_INVALID_ARGUMENT, "%s is not valid UTF-8", path);
    }
    free(path);
    return status;
}

/* *root is NULL where there is no such file. */
static enum status read_json(const char *directory, const char *name, json_t **root, struct error *error)
{
    char *text = NULL;
    size_t size = 0;
    json_error_t reason;
    struct error why;
    *root = NULL;
    enum status status = read_text(directory, name, &text, &size, &why);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status != STATUS_OK) {
        if (error)
            *error = why;
        return status;
    }
    *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &reason);
    free(text);
    if (json_is_object(*root))
        return STATUS_OK;
    json_decref(*root);
    *root = NULL;
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s/%s: no JSON object: %s", directory, name,
                     reason.text);
}

/* Calls nothing back: the next line of a text without its end, or false. */
static bool next_line(char **at, char *end, char **line)
{
    if (*at >= end)
        return false;
    char *stop = memchr(*at, '\n', (size_t)(end - *at));
    *line = *at;
    *at = stop ? stop + 1 : end;
    if (!stop)
        stop = end;
    if (stop > *line && stop[-1] == '\r')
        stop--;
    *stop = '\0'; /* file_read leaves room for a NUL behind the text */
    return true;
}

/* ---- BERT ---- */

static json_t *read_vocab_lines(char *text, size_t size)
{
    json_t *vocab = json_object();
    char *at = text, *line;
    for (json_int_t id = 0; vocab && next_line(&at, text + size, &line); id++) {
        if (*line)
            json_object_set_new(vocab, line, json_integer(id));
    }
    return vocab;
}

static json_t *special_of_bert(json_t *vocab)
{
    static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    json_t *list = json_array();
    for (int i = 0; i < 5; i++) {
        json_t *id = json_object_get(vocab, names[i]);
        if (id)
            json_array_append_new(list, json_pack("{s:O, s:s, s:b, s:b}", "id", id, "content", names[i],
                                                  "special", 1, "normalized", 0));
    }
    return list;
}

static bool read_setting(json_t *config, const char *key, bool fallback)
{
    json_t *value = json_object_get(config, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

static json_t *post_processor_of_bert(json_t *vocab)
{
    json_t *cls = json_object_get(vocab, "[CLS]"), *sep = json_object_get(vocab, "[SEP]");
    if (!cls || !sep)
        return json_null();
    return json_pack("{s:s, s:[s,O], s:[s,O]}", "type", "BertProcessing", "cls", "[CLS]", cls, "sep", "[SEP]",
                     sep);
}

static json_t *bert_json(json_t *vocab, json_t *config)
{
    json_t *accents = json_object_get(config, "strip_accents");
    return json_pack(
        "{s:o, s:{s:s, s:b, s:b, s:O?, s:b}, s:{s:s}, s:o, s:{s:s, s:s, s:b}, s:{s:s, s:s, s:s, s:i, s:O}}",
        "added_tokens", special_of_bert(vocab), "normalizer", "type", "BertNormalizer", "clean_text", 1,
        "handle_chinese_chars", read_setting(config, "tokenize_chinese_chars", true), "strip_accents",
        accents ? accents : json_null(), "lowercase", read_setting(config, "do_lower_case", true),
        "pre_tokenizer", "type", "BertPreTokenizer", "post_processor", post_processor_of_bert(vocab),
        "decoder", "type", "WordPiece", "prefix", "##", "cleanup", 1, "model", "type", "WordPiece",
        "unk_token", "[UNK]", "continuing_subword_prefix", "##", "max_input_chars_per_word", 100, "vocab",
        vocab);
}

static enum status read_bert(const char *directory, json_t **root, struct error *error)
{
    char *text = NULL;
    size_t size = 0;
    json_t *config = NULL;
    enum status status = read_text(directory, "vocab.txt", &text, &size, error);
    if (status == STATUS_OK)
        status = read_json(directory, "tokenizer_config.json", &config, error);
    if (status == STATUS_OK) {
        json_t *vocab = read_vocab_lines(text, size);
        *root = vocab ? bert_json(vocab, config) : NULL;
        json_decref(vocab);
        if (!*root)
            status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for vocab.txt");
    }
    json_decref(config);
    free(text);
    return status;
}

/* ---- byte-level BPE ---- */

static json_t *read_merge_lines(char *text, size_t size)
{
    json_t *merges = json_array();
    char *at = text, *line;
    for (bool first = true; merges && next_line(&at, text + size, &line); first = false) {
        if (*line && !(first && !strncmp(line, "#version", 8)))
            json_array_append_new(merges, json_string(line));
    }
    return merges;
}

/* tokenizer_config.json has the flags of each token; added_tokens.json has ids only. */
static json_t *added_of(json_t *config, json_t *added, json_t *vocab)
{
    json_t *list = json_array(), *decoder = json_object_get(config, "added_tokens_decoder"), *entry, *id;
    json_t *seen = json_object();
    const char *key;
    json_object_foreach(decoder, key, entry)
    {
        json_t *token = json_copy(entry);
        json_object_set_new(token, "id", json_integer(strtoll(key, NULL, 10)));
        if (json_string_value(json_object_get(entry, "content")))
            json_object_set_new(seen, json_string_value(json_object_get(entry, "content")), json_true());
        json_array_append_new(list, token);
    }
    json_object_foreach(added, key, id)
    {
        if (!json_object_get(seen, key))
            json_array_append_new(list, json_pack("{s:O, s:s}", "id", id, "content", key));
    }
    if (!json_object_get(seen, "<|endoftext|>") && !json_object_get(added, "<|endoftext|>") &&
        json_object_get(vocab, "<|endoftext|>")) /* GPT-2 has it in its vocabulary only */
        json_array_append_new(list, json_pack("{s:O, s:s}", "id", json_object_get(vocab, "<|endoftext|>"),
                                              "content", "<|endoftext|>"));
    json_decref(seen);
    return list;
}

/* The stages are in the code of the tokenizer's class, not in its files. */
static json_t *stages_of(const char *class)
{
    static const char qwen[] =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
        "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    static const char *const like_qwen[] = {"Qwen2Tokenizer", "Qwen2TokenizerFast", "DreamTokenizer", NULL};
    static const char *const like_gpt2[] = {"GPT2Tokenizer", "GPT2TokenizerFast", NULL};
    for (const char *const *name = like_qwen; *name; name++) {
        if (!strcmp(class, *name))
            return json_pack("{s:{s:s}, s:{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, {s:s, s:b, s:b}]}}",
                             "normalizer", "type", "NFC", "pre_tokenizer", "type", "Sequence",
                             "pretokenizers", "type", "Split", "pattern", "Regex", qwen, "behavior",
                             "Isolated", "invert", 0, "type", "ByteLevel", "add_prefix_space", 0, "use_regex",
                             0);
    }
    for (const char *const *name = like_gpt2; *name; name++) {
        if (!strcmp(class, *name))
            return json_pack("{s:n, s:{s:s, s:b}}", "normalizer", "pre_tokenizer", "type", "ByteLevel",
                             "add_prefix_space", 0);
    }
    return NULL;
}

static enum status bpe_json(const char *directory, char *merges, size_t size, json_t *vocab, json_t *added,
                            json_t *config, json_t **root, struct error *error)
{
    const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
    *root = stages_of(class ? class : "");
    if (!*root)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "%s has vocab.json and merges.txt but no tokenizer.json, and how its texts are split is known "
            "for GPT2Tokenizer, Qwen2Tokenizer and DreamTokenizer only; tokenizer_config.json says '%.60s'",
            directory, class ? class : "nothing");
    json_object_set_new(*root, "added_tokens", added_of(config, added, vocab));
    json_object_set_new(*root, "model",
                        json_pack("{s:s, s:O, s:o}", "type", "BPE", "vocab", vocab, "merges",
                                  read_merge_lines(merges, size)));
    json_object_set_new(*root, "decoder", json_pack("{s:s}", "type", "ByteLevel"));
    return STATUS_OK;
}

static enum status read_bpe(const char *directory, json_t *vocab, json_t **root, struct error *error)
{
    char *text = NULL;
    size_t size = 0;
    json_t *added = NULL, *config = NULL;
    enum status status = read_text(directory, "merges.txt", &text, &size, error);
    if (status == STATUS_NOT_FOUND)
        status = STATUS_INVALID_ARGUMENT; /* vocab.json alone is no tokenizer */
    if (status == STATUS_OK)
        status = read_json(directory, "added_tokens.json", &added, error);
    if (status == STATUS_OK)
        status = read_json(directory, "tokenizer_config.json", &config, error);
    if (status == STATUS_OK)
        status = bpe_json(directory, text, size, vocab, added, config, root, error);
    json_decref(added);
    json_decref(config);
    free(text);
    return status;
}

enum status older_files_read(const char *directory, json_t **root, struct error *error)
{
    json_t *vocab = NULL;
    enum status status = read_json(directory, "vocab.json", &vocab, error);
    *root = NULL;
    if (status == STATUS_OK)
        status = vocab ? read_bpe(directory, vocab, root, error) : read_bert(directory, root, error);
    json_decref(vocab);
    return status;
}
