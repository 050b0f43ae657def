/* Files as others write them: what cannot change the result is accepted, and the result is that of the plain
 * file. The reference library (tokenizers 0.23) accepts each of these and gives the same ids. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/split.h"
#include "tests/tokenizer/small_vocabulary.h"
#include "tests/tokenizer/suites.h"

#define GPT2_SPLIT                                                                                   \
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| "         \
    "?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+\"}, \"behavior\": \"Isolated\", " \
    "\"invert\": false}"

static const struct {
    const char *path, *value;
} harmless[] = {
    {"model.type", ""},
    {"version", ""},
    {"truncation",
     "{\"direction\": \"Right\", \"max_length\": 2, \"strategy\": \"LongestFirst\", \"stride\": 0}"},
    {"padding", "{\"strategy\": {\"Fixed\": 9}, \"direction\": \"Right\", \"pad_id\": 262, "
                "\"pad_token\": \"<|endoftext|>\"}"},
    {"normalizer", "{\"type\": \"Sequence\", \"normalizers\": []}"},
    {"normalizer",
     "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Sequence\", \"normalizers\": []}]}"},
    {"normalizer", "{\"type\": \"Strip\", \"strip_left\": false, \"strip_right\": false}"},
    {"normalizer", "{\"type\": \"BertNormalizer\", \"clean_text\": false, \"handle_chinese_chars\": false, "
                   "\"strip_accents\": null, \"lowercase\": false}"},
    {"pre_tokenizer",
     "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Sequence\", \"pretokenizers\": []}, "
     "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true}]}"},
    {"pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": [" GPT2_SPLIT
                      ", {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]}"},
    {"post_processor", "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": false}"},
    {"post_processor", "{\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"}]}"},
    {"post_processor", "{\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"A\", "
                       "\"type_id\": 0}}], \"pair\": [], \"special_tokens\": {}}"},
    {"decoder", "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"ByteLevel\"}, {\"type\": \"Fuse\"}]}"},
    {"decoder", "null"},
    {"model.dropout", "0.0"},
    {"model.byte_fallback", "true"},
    {"model.unk_token", "\"\""},
    {"model.fuse_unk", "true"},
    {"model.ignore_merges", "true"},
    {"model.continuing_subword_prefix", "\"\""},
    {"added_tokens.0.normalized", "true"},
};

static struct error error;

static void check_ids(const struct tokenizer *tokenizer, const char *text, const int32_t *wanted,
                      size_t n_wanted)
{
    int32_t *ids = NULL;
    size_t n = 0;
    ck_assert_msg(tokenizer_encode(tokenizer, text, strlen(text), &ids, &n, &error) == STATUS_OK, "%s",
                  error.text);
    ck_assert_uint_eq(n, n_wanted);
    ck_assert_int_eq(memcmp(ids, wanted, n * sizeof *ids), 0);
    free(ids);
}
#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)

START_TEST(harmless_settings)
{
    struct tokenizer *tokenizer = NULL;
    json_t *root = small_vocabulary();
    small_vocabulary_set(root, harmless[_i].path, harmless[_i].value);
    ck_assert_msg(small_vocabulary_parse(root, &tokenizer, &error) == STATUS_OK, "%s", error.text);
    check_ids(tokenizer, " hello's hell<|endoftext|>\n aaaa",
              IDS(' ', 259, '\'', 's', ' ', 258, 262, '\n', ' ', 261));
    tokenizer_free(tokenizer);
}
END_TEST

/* A piece that is a word becomes it at once: "hex" has no merges. */
START_TEST(ignored_merges)
{
    struct tokenizer *tokenizer = NULL;
    json_t *root = small_vocabulary();
    small_vocabulary_set(root, "model.ignore_merges", "true");
    small_vocabulary_set(root, "model.vocab.hello", "");
    small_vocabulary_set(root, "model.vocab.hex", "259");
    json_array_remove(json_object_get(json_object_get(root, "model"), "merges"), 3);
    ck_assert_msg(small_vocabulary_parse(root, &tokenizer, &error) == STATUS_OK, "%s", error.text);
    check_ids(tokenizer, "hex hexe", IDS(259, ' ', 256, 'x', 'e'));
    tokenizer_free(tokenizer);
}
END_TEST

/* An added token may be a word of the vocabulary too, even a single byte. It then stands for the word's
 * bytes. */
START_TEST(added_words)
{
    static const struct {
        const char *token, *text;
        int32_t ids[4];
        const char *decoded;
    } cases[] = {
        {"{\"id\": 33, \"content\": \"!\"}", "h!h!", {'h', '!', 'h', '!'}, "h!h!"},
        {"{\"id\": 32, \"content\": \"\xC4\xA0\"}", "h h\xC4\xA0", {'h', ' ', 'h', ' '}, "h h "},
        {"{\"id\": 256, \"content\": \"he\"}", "thell", {'t', 256, 257, -1}, "thell"},
    };
    struct tokenizer *tokenizer = NULL;
    json_t *root = small_vocabulary();
    small_vocabulary_set(root, "added_tokens.+", cases[_i].token);
    ck_assert_msg(small_vocabulary_parse(root, &tokenizer, &error) == STATUS_OK, "%s", error.text);
    size_t n = cases[_i].ids[3] < 0 ? 3 : 4, size = 0;
    char *text = NULL;
    check_ids(tokenizer, cases[_i].text, cases[_i].ids, n);
    ck_assert_int_eq(tokenizer_decode(tokenizer, cases[_i].ids, n, &text, &size, &error), STATUS_OK);
    ck_assert_str_eq(text, cases[_i].decoded);
    free(text);
    tokenizer_free(tokenizer);
}
END_TEST

/* Whether a character goes on a piece that begins with `first`. */
static bool joins(char first, const char *character)
{
    char text[8] = {first};
    strcpy(text + 1, character);
    return split_rules_next(&split_gpt2, text, strlen(text), 0) == strlen(text);
}

/* Classes of the reference's Unicode 16, where PCRE2 and utf8proc differ: U+180E is no white space; letters
 * and numbers that were assigned after Unicode 14. */
START_TEST(classes_of_characters)
{
    static const struct {
        const char *character, kind; /* a letter, 1 a number, ! another sign, a space */
    } cases[] = {{"\xE1\xA0\x8E", '!'},     {"\xE3\x80\x80", ' '},     {"\xC2\x85", ' '},
                 {"\xE2\x80\xAF", ' '},     {"\xE2\x80\x8B", '!'},     {"\x1C", '!'},
                 {"\xE1\xB2\x89", 'a'},     {"\xEA\x9F\x9C", 'a'},     {"\xF0\xB1\x8D\x90", 'a'},
                 {"\xF0\xAE\xAF\xB0", 'a'}, {"\xF0\x90\xB5\x80", '1'}, {"\xF0\x9E\x97\xB1", '1'},
                 {"\xC2\xBD", '1'},         {"\xC3\xA9", 'a'},         {"\xF0\x9F\x99\x82", '!'}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (const char *first = "a1!"; *first; first++)
            ck_assert_msg(joins(*first, cases[i].character) == (*first == cases[i].kind),
                          "case %zu after '%c'", i, *first);
    }
}
END_TEST

Suite *settings_suite(void)
{
    Suite *suite = suite_create("settings");
    TCase *cases = tcase_create("settings");
    tcase_set_timeout(cases, 0);
    tcase_add_loop_test(cases, harmless_settings, 0, sizeof harmless / sizeof *harmless);
    tcase_add_test(cases, ignored_merges);
    tcase_add_loop_test(cases, added_words, 0, 3);
    tcase_add_test(cases, classes_of_characters);
    suite_add_tcase(suite, cases);
    return suite;
}
