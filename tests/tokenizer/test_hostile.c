/* tokenizer.json is outside input: every way to spoil it ends in a sentence, never in a tokenizer that is
 * nearly right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/temporary.h"
#include "tests/tokenizer/small_vocabulary.h"
#include "tests/tokenizer/suites.h"

/* `path` is replaced by the JSON `value` ("" removes it); a number is an index of a list, "+" appends. */
static const struct {
    const char *path, *value, *sentence;
} spoils[] = {
    {"model.type", "\"Unigram\"", "t.json: model.type: Unigram is not supported, only BPE and WordPiece"},
    {"model", "[]", "t.json: model: missing, or no object"},
    {"model", "", "t.json: model: missing, or no object"},
    {"model.vocab", "", "t.json: model.vocab: missing, or no object"},
    {"model.vocab", "[1]", "t.json: model.vocab: missing, or no object"},
    {"model.merges", "", "t.json: model.merges: missing, or no list"},
    {"model.dropout", "0.1", "t.json: model.dropout: is set, which is not supported"},
    {"model.type", "null", "t.json: model.type: this value is not supported, only BPE and WordPiece"},
    {"version", "\"2.0\"", "t.json: version: 2.0 is not supported, only 1.0"},
    {"version", "null", "t.json: version: this value is not supported, only 1.0"},
    {"model.end_of_word_suffix", "\"</w>\"",
     "t.json: model.end_of_word_suffix: is set, which is not supported"},
    {"model.surprise", "1", "t.json: model: surprise: this key is not supported"},
    {"surprise", "1", "t.json: surprise: this key is not supported"},
    {"normalizer", "{\"type\": \"Precompiled\"}", "t.json: normalizer: Precompiled is not supported"},
    {"normalizer", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Nmt\"}]}",
     "t.json: normalizer: Nmt is not supported"},
    {"normalizer", "{\"type\": \"NFC\", \"x\": 1}", "t.json: normalizer: x: this key is not supported"},
    {"normalizer", "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"(\"}, \"content\": \"\"}",
     "t.json: normalizer: the pattern \"(\": does not compile: missing closing parenthesis"},
    {"normalizer", "{\"type\": \"Replace\", \"pattern\": {\"String\": \"\"}, \"content\": \"\"}",
     "t.json: normalizer: pattern: must be {\"String\": text} or {\"Regex\": text}"},
    {"normalizer", "3", "t.json: normalizer: a step has no type"},
    {"pre_tokenizer",
     "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\", \"add_prefix_space\": false}, "
     "{\"type\": \"ByteLevel\"}]}",
     "t.json: pre_tokenizer: a second ByteLevel is not supported"},
    {"pre_tokenizer", "{\"type\": \"UnicodeScripts\"}",
     "t.json: pre_tokenizer: UnicodeScripts is not supported"},
    {"pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a\\\\b\"}, \"behavior\": \"Isolated\"}",
     "t.json: pre_tokenizer: the pattern \"a\\b\": \\b (at byte 1) is not supported"},
    {"pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a&&b]\"}, \"behavior\": \"Isolated\"}",
     "t.json: pre_tokenizer: the pattern \"[a&&b]\": && within brackets (at byte 2) is not supported"},
    {"pre_tokenizer", "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a\"}, \"behavior\": \"Joined\"}",
     "t.json: pre_tokenizer: behavior: must be Removed, Isolated, MergedWithPrevious, MergedWithNext or "
     "Contiguous"},
    {"pre_tokenizer", "{\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"often\"}",
     "t.json: pre_tokenizer: prepend_scheme: must be always, first or never"},
    {"post_processor", "{\"type\": \"TemplateProcessing\"}",
     "t.json: post_processor: TemplateProcessing: single lacks the text A"},
    {"post_processor",
     "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"x\"}}]}",
     "t.json: post_processor: TemplateProcessing: special_tokens lacks 'x'"},
    {"post_processor", "{\"type\": \"BertProcessing\", \"cls\": [\"x\", 264], \"sep\": [\"y\", 1]}",
     "t.json: post_processor: an id must be a whole number from 0 to 263"},
    {"decoder", "{\"type\": \"Metaspace\", \"replacement\": \"_\"}",
     "t.json: decoder: it must be ByteLevel where pre_tokenizer is, and only there"},
    {"decoder", "{\"type\": \"CTC\"}", "t.json: decoder: CTC is not supported"},
    {"pre_tokenizer", "null", "t.json: decoder: it must be ByteLevel where pre_tokenizer is, and only there"},
    {"pre_tokenizer.type", "\"Whitespace\"",
     "t.json: pre_tokenizer: add_prefix_space: this key is not supported"},
    {"pre_tokenizer.add_prefix_space", "",
     "t.json: pre_tokenizer: add_prefix_space: missing; must be true or false"},
    {"pre_tokenizer.use_regex", "1", "t.json: pre_tokenizer: use_regex: must be true or false"},
    {"pre_tokenizer.pattern", "\"x\"", "t.json: pre_tokenizer: pattern: this key is not supported"},
    {"model.vocab.he", "257", "t.json: model.vocab: the id 257 of 'll' is another token's too"},
    {"model.vocab.he", "264",
     "t.json: model.vocab: 'he' has the id 264; the model's vocabulary allows 0 to 263"},
    {"model.vocab.he", "-1",
     "t.json: model.vocab: 'he' has the id -1; the model's vocabulary allows 0 to 263"},
    {"model.vocab.he", "9223372036854775807",
     "t.json: model.vocab: 'he' has the id 9223372036854775807; the model's vocabulary allows 0 to 263"},
    {"model.vocab.he", "\"256\"", "t.json: model.vocab: 'he' has no whole number as its id"},
    {"model.vocab.he", "1.5", "t.json: model.vocab: 'he' has no whole number as its id"},
    {"model.vocab.hell", "", "t.json: model.merges[2]: 'hell' is not in model.vocab"},
    {"model.vocab.A", "", "t.json: model.vocab: the single byte 0x41 is no token; all 256 must be"},
    {"model.vocab.漢", "300",
     "t.json: model.vocab: '漢' has the id 300; the model's vocabulary allows 0 to 263"},
    {"model.merges.+", "\"漢 a\"", "t.json: model.merges[6]: '漢' is not in model.vocab"},
    {"model.merges.+", "\"x y\"", "t.json: model.merges[6]: 'xy' is not in model.vocab"},
    {"model.merges.+", "\"hello zz\"", "t.json: model.merges[6]: 'zz' is not in model.vocab"},
    {"model.merges.+", "\"h e\"", "t.json: model.merges[6]: this pair has been merged before"},
    {"model.merges.+", "\"hello\"",
     "t.json: model.merges[6]: must be \"left right\" or [\"left\", \"right\"]"},
    {"model.merges.+", "\" e\"", "t.json: model.merges[6]: must be \"left right\" or [\"left\", \"right\"]"},
    {"model.merges.+", "\"h e l\"",
     "t.json: model.merges[6]: must be \"left right\" or [\"left\", \"right\"]"},
    {"model.merges.+", "[\"h\", \"\"]",
     "t.json: model.merges[6]: must be \"left right\" or [\"left\", \"right\"]"},
    {"model.merges.+", "[\"h\", 3]",
     "t.json: model.merges[6]: must be \"left right\" or [\"left\", \"right\"]"},
    {"model.merges.+", "[\"h\"]", "t.json: model.merges[6]: must be \"left right\" or [\"left\", \"right\"]"},
    {"model.merges.+", "7", "t.json: model.merges[6]: must be \"left right\" or [\"left\", \"right\"]"},
    {"added_tokens", "{}", "t.json: added_tokens: must be a list"},
    {"added_tokens.+", "{\"id\": 3, \"content\": \"\"}",
     "t.json: added_tokens[2].content: must be a text of 1 to 256 bytes"},
    {"added_tokens.+", "7", "t.json: added_tokens[2].content: must be a text of 1 to 256 bytes"},
    {"added_tokens.+", "{\"id\": 262, \"content\": \"x\"}",
     "t.json: added_tokens[2]: 'x' has the id 262 here and 120 in model.vocab"},
    {"added_tokens.+", "{\"id\": 262, \"content\": \"xyz\"}",
     "t.json: added_tokens[2]: the id 262 of 'xyz' is taken"},
    {"added_tokens.+", "{\"id\": 5, \"content\": \"xyz\"}",
     "t.json: model.vocab: the id 5 of 'ą' is another token's too"},
    {"added_tokens.+", "{\"id\": 999, \"content\": \"xyz\"}",
     "t.json: added_tokens: 'xyz' has the id 999; the model's vocabulary allows 0 to 263"},
    {"added_tokens.+", "{\"id\": 3, \"content\": \"<|end|>\"}",
     "t.json: added_tokens: '<|end|>' is there twice"},
    {"added_tokens.1.lstrip", "1", "t.json: added_tokens[1].lstrip: must be true or false"},
    {"model.vocab.<|end|>", "262",
     "t.json: added_tokens[1]: '<|end|>' has the id 263 here and 262 in model.vocab"},
};

START_TEST(spoilt_files)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    json_t *root = small_vocabulary();
    small_vocabulary_set(root, spoils[_i].path, spoils[_i].value);
    ck_assert_int_eq(small_vocabulary_parse(root, &tokenizer, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, spoils[_i].sentence);
    ck_assert_ptr_null(tokenizer);
}
END_TEST

/* A byte may be missing although the ids have no hole. */
START_TEST(missing_byte)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    json_t *root = small_vocabulary();
    small_vocabulary_set(root, "model.vocab.A", "");
    small_vocabulary_set(root, "model.vocab.AA", "65");
    ck_assert_int_eq(small_vocabulary_parse(root, &tokenizer, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, "t.json: model.vocab: the single byte 0x41 is no token; all 256 must be");
}
END_TEST

START_TEST(foreign_character)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    json_t *root = small_vocabulary();
    small_vocabulary_set(root, "model.vocab.hello", "");
    small_vocabulary_set(root, "model.vocab.hel lo", "259");
    ck_assert_int_eq(small_vocabulary_parse(root, &tokenizer, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text,
                     "t.json: model.vocab: 'hel lo' (id 259) is not written in the byte alphabet");
}
END_TEST

START_TEST(duplicate_words)
{
    static const char text[] = "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"a\": 1}}}";
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    ck_assert_int_eq(tokenizer_parse(text, strlen(text), 9, "t.json", &tokenizer, &error),
                     STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.text, "t.json: no valid JSON: duplicate object key"));
}
END_TEST

START_TEST(truncated_files)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    json_t *root = small_vocabulary();
    char *json = json_dumps(root, 0);
    size_t size = strlen(json);
    json_decref(root);
    for (size_t cut = 0; cut < size; cut++) {
        char *exact = malloc(cut + 1); /* so that a read too far is seen by the sanitizer */
        memcpy(exact, json, cut);
        exact = realloc(exact, cut ? cut : 1);
        ck_assert_int_eq(tokenizer_parse(exact, cut, SMALL_VOCABULARY_IDS, "t.json", &tokenizer, &error),
                         STATUS_INVALID_ARGUMENT);
        ck_assert_ptr_null(tokenizer);
        free(exact);
    }
    ck_assert_int_eq(tokenizer_parse(json, size, SMALL_VOCABULARY_IDS, "t.json", &tokenizer, &error),
                     STATUS_OK);
    tokenizer_free(tokenizer);
    free(json);
}
END_TEST

/* Deep nesting, and a word of ten megabytes. */
START_TEST(huge_files)
{
    enum { SIZE = 10 << 20 };
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    char *brackets = malloc(SIZE);
    memset(brackets, '[', SIZE);
    ck_assert_int_eq(tokenizer_parse(brackets, SIZE, 9, "t.json", &tokenizer, &error),
                     STATUS_INVALID_ARGUMENT);
    memset(brackets, 'a', SIZE);
    brackets[SIZE - 1] = '\0';
    json_t *root = small_vocabulary();
    json_object_set_new(json_object_get(json_object_get(root, "model"), "vocab"), brackets,
                        json_integer(264));
    ck_assert_int_eq(small_vocabulary_parse(root, &tokenizer, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.text, "has the id 264; the model's vocabulary allows 0 to 263"));
    free(brackets);
}
END_TEST

START_TEST(missing_file)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    char directory[TEMPORARY_ROOM], said[TEMPORARY_ROOM + 64];
    ck_assert_int_eq(temporary_directory(directory, "tokenizer", &error), STATUS_OK);
    snprintf(said, sizeof said, "%s/tokenizer.json: No such file or directory", directory);
    ck_assert_int_eq(tokenizer_open(directory, 9, &tokenizer, &error), STATUS_NOT_FOUND);
    ck_assert_str_eq(error.text, said);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

Suite *hostile_suite(void)
{
    Suite *suite = suite_create("hostile");
    TCase *cases = tcase_create("hostile");
    tcase_set_timeout(cases, 0);
    tcase_add_loop_test(cases, spoilt_files, 0, sizeof spoils / sizeof *spoils);
    tcase_add_test(cases, missing_byte);
    tcase_add_test(cases, foreign_character);
    tcase_add_test(cases, duplicate_words);
    tcase_add_test(cases, truncated_files);
    tcase_add_test(cases, huge_files);
    tcase_add_test(cases, missing_file);
    suite_add_tcase(suite, cases);
    return suite;
}
