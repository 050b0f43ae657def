/* What encoding and decoding give: against an independent encoder's vectors, and round trips. */
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/tokenizer/tokenizer.h"
#include "tests/tokenizer/small_vocabulary.h"
#include "tests/tokenizer/suites.h"

static struct tokenizer *gpt2, *small;
static struct error error;

static void path_in(char *path, size_t size, const char *variable, const char *name)
{
    const char *base = getenv(variable);
    snprintf(path, size, "%s/%s", base ? base : ".", name);
}

static void open_tokenizers(void)
{
    char path[512];
    path_in(path, sizeof path, "MILLRACE_SHARED", "data/gpt2-tokenizer");
    ck_assert_msg(tokenizer_open(path, 50257, &gpt2, &error) == STATUS_OK, "%s", error.text);
    ck_assert_msg(small_vocabulary_parse(small_vocabulary(), &small, &error) == STATUS_OK, "%s", error.text);
}

static void close_tokenizers(void)
{
    tokenizer_free(gpt2);
    tokenizer_free(small);
}

static char *read_text(const char *name, size_t *size)
{
    char path[512];
    path_in(path, sizeof path, "MILLRACE_SHARED", name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s cannot be opened", path);
    size_t capacity = 4 << 20;
    char *text = malloc(capacity);
    *size = fread(text, 1, capacity, file);
    fclose(file);
    ck_assert(*size > 0 && *size < capacity);
    return text;
}

/* Of this process's own work: what others do on the machine does not count. */
static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static size_t check_round_trip(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    int32_t *ids = NULL;
    size_t n_ids = 0, decoded_size = 0;
    char *decoded = NULL;
    ck_assert_msg(tokenizer_encode_ordinary(tokenizer, text, size, &ids, &n_ids, &error) == STATUS_OK, "%s",
                  error.text);
    ck_assert_ptr_nonnull(ids);
    ck_assert_int_eq(tokenizer_decode(tokenizer, ids, n_ids, &decoded, &decoded_size, &error), STATUS_OK);
    ck_assert_uint_eq(decoded_size, size);
    ck_assert_int_eq(memcmp(decoded, text, size), 0);
    ck_assert_int_eq(decoded[size], '\0');
    free(ids);
    free(decoded);
    return n_ids;
}

static void check_ids(const struct tokenizer *tokenizer, bool ordinary, const char *text,
                      const int32_t *wanted, size_t n_wanted)
{
    int32_t *ids = NULL;
    size_t n = 0;
    enum status status = (ordinary ? tokenizer_encode_ordinary
                                   : tokenizer_encode)(tokenizer, text, strlen(text), &ids, &n, &error);
    ck_assert_msg(status == STATUS_OK, "%s", error.text);
    ck_assert_uint_eq(n, n_wanted);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(ids[i] == wanted[i], "'%s': ids[%zu] is %d, not %d", text, i, ids[i], wanted[i]);
    free(ids);
}
#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)

static void check_vector(json_t *row, int line_number)
{
    json_t *text = json_object_get(row, "text"), *wanted = json_object_get(row, "ids");
    int32_t *ids = NULL;
    size_t n = 0;
    ck_assert_int_eq(
        tokenizer_encode_ordinary(gpt2, json_string_value(text), json_string_length(text), &ids, &n, &error),
        STATUS_OK);
    ck_assert_msg(n == json_array_size(wanted), "line %d: %zu ids, not %zu", line_number, n,
                  json_array_size(wanted));
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(ids[i] == json_integer_value(json_array_get(wanted, i)), "line %d: ids[%zu] is %d",
                      line_number, i, ids[i]);
    free(ids);
    check_round_trip(gpt2, json_string_value(text), json_string_length(text));
}

START_TEST(golden_vectors)
{
    char path[512];
    path_in(path, sizeof path, "MILLRACE_SHARED", "data/gpt2-tokenizer/golden.jsonl");
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    int n_lines = 0;
    json_t *row;
    while ((row = json_loadf(file, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL)) != NULL) {
        check_vector(row, ++n_lines);
        json_decref(row);
    }
    fclose(file);
    ck_assert_int_eq(n_lines, 275);
}
END_TEST

START_TEST(a_megabyte_of_wikipedia)
{
    size_t size;
    char *text = read_text("data/wikitext-2/valid.detok.txt", &size);
    double start = seconds_now();
    size_t n_ids = check_round_trip(gpt2, text, size);
    double seconds = seconds_now() - start;
    printf("  %zu bytes, %zu tokens, there and back in %.3f s\n", size, n_ids, seconds);
    ck_assert(n_ids > size / 8 && n_ids < size / 2);
    free(text);
}
END_TEST

START_TEST(a_megabyte_of_one_character)
{
    static const char *const characters[] = {"a", " ", "\n", "é", "9", "!", "🙂"};
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    size_t size = 0, character_size = strlen(characters[_i]);
    for (; size + character_size <= SIZE; size += character_size)
        memcpy(text + size, characters[_i], character_size);
    double start = seconds_now();
    check_round_trip(gpt2, text, size);
    double seconds = seconds_now() - start;
    printf("  a megabyte of '%s': %.3f s\n", _i == 2 ? "\\n" : characters[_i], seconds);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    ck_assert_msg(seconds < 2, "%.3f s", seconds);
#endif
    free(text);
}
END_TEST

/* A megabyte that is one piece when the text is not split at all. */
START_TEST(a_megabyte_without_splitting)
{
    struct tokenizer *whole;
    json_t *root = small_vocabulary();
    json_object_set_new(json_object_get(root, "pre_tokenizer"), "use_regex", json_false());
    ck_assert_msg(small_vocabulary_parse(root, &whole, &error) == STATUS_OK, "%s", error.text);
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        text[i] = "hello aaaa"[i % 10];
    ck_assert_uint_eq(check_round_trip(whole, text, SIZE), 3u * (SIZE / 10) + 2);
    free(text);
    tokenizer_free(whole);
}
END_TEST

/* Every valid text, whatever its bytes: random characters of one to four bytes, NUL among them. */
START_TEST(random_texts_survive)
{
    uint64_t state = 12345;
    for (int round = 0; round < 300; round++) {
        char text[400];
        size_t size = 0;
        while (size < 390) {
            static const char *const some[] = {"\0",   "é",        "漢", "🙂", "'s", "  ",
                                               "\n\n", "\xC2\xA0", "9",  "٣",    "x",  "Ġ"};
            state = state * 6364136223846793005u + 1442695040888963407u;
            unsigned pick = (unsigned)(state >> 33) % 24;
            if (pick >= 12) {
                text[size++] = (char)((state >> 40) % 128);
                continue;
            }
            size_t n = pick == 0 ? 1 : strlen(some[pick]);
            memcpy(text + size, some[pick], n);
            size += n;
        }
        check_round_trip(gpt2, text, size);
        check_round_trip(small, text, size);
    }
}
END_TEST

static void check_bytes_survive(const struct tokenizer *tokenizer, const unsigned char *bytes,
                                size_t size_bytes)
{
    int32_t *ids = NULL;
    char *decoded = NULL;
    size_t n = 0, size = 0;
    ck_assert_int_eq(tokenizer_encode_bytes(tokenizer, bytes, size_bytes, &ids, &n, &error), STATUS_OK);
    ck_assert_int_eq(tokenizer_decode(tokenizer, ids, n, &decoded, &size, &error), STATUS_OK);
    ck_assert(size == size_bytes && !memcmp(decoded, bytes, size_bytes));
    free(ids);
    free(decoded);
}

/* Any bytes, in which valid and invalid UTF-8 stand side by side; and valid text gets the ids that it always
 * gets. */
START_TEST(any_bytes_survive)
{
    uint64_t state = 99;
    unsigned char bytes[256];
    for (int round = 0; round < 2000; round++) {
        size_t size = (size_t)round % sizeof bytes;
        for (size_t i = 0; i < size; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            static const unsigned char near_utf8[] = "ab \xC3\xA9\xE6\xBC\xF0\x9F\xFF";
            bytes[i] = round % 2 ? (unsigned char)(state >> 56) : near_utf8[(state >> 33) % 10];
        }
        check_bytes_survive(gpt2, bytes, size);
        check_bytes_survive(small, bytes, size);
    }
    static const char text[] = "caf\xC3\xA9 <|endoftext|> it's";
    int32_t *as_bytes = NULL, *as_text = NULL;
    size_t n_bytes = 0, n_text = 0;
    ck_assert_int_eq(tokenizer_encode_bytes(gpt2, text, sizeof text - 1, &as_bytes, &n_bytes, &error),
                     STATUS_OK);
    ck_assert_int_eq(tokenizer_encode_ordinary(gpt2, text, sizeof text - 1, &as_text, &n_text, &error),
                     STATUS_OK);
    ck_assert(n_bytes == n_text && !memcmp(as_bytes, as_text, n_text * sizeof *as_text));
    free(as_bytes);
    free(as_text);
}
END_TEST

/* What one of several threads does: encodes and decodes the same text many times; NULL when it always fits.
 */
static void *encode_often(void *argument)
{
    static const char text[] =
        "Whenever she went out, she'd wear 12 red <|endoftext|> cloaks \xC3\xA9\xE6\xBC\xA2.";
    for (int round = 0; round < 200; round++) {
        int32_t *ids = NULL;
        char *decoded = NULL;
        size_t n = 0, size = 0;
        struct error mine;
        bool fits = tokenizer_encode(gpt2, text, sizeof text - 1, &ids, &n, &mine) == STATUS_OK &&
                    tokenizer_decode(gpt2, ids, n, &decoded, &size, &mine) == STATUS_OK &&
                    size == sizeof text - 1 && !memcmp(decoded, text, size);
        free(ids);
        free(decoded);
        if (!fits)
            return argument;
    }
    return NULL;
}

START_TEST(threads_share_a_tokenizer)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, encode_often, gpt2), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
}
END_TEST

START_TEST(every_byte_decodes)
{
    for (int32_t byte = 0; byte < 256; byte++) {
        struct token_piece piece = tokenizer_piece(small, byte);
        ck_assert(piece.size_bytes == 1 && (unsigned char)piece.bytes[0] == byte);
    }
    ck_assert_uint_eq(tokenizer_piece(small, 264).size_bytes, 0);
    ck_assert_uint_eq(tokenizer_piece(small, -1).size_bytes, 0);
    ck_assert_int_eq(tokenizer_size(small), 264);
}
END_TEST

START_TEST(merges_in_order)
{
    check_ids(small, true, "hello", IDS(259));
    check_ids(small, true, "hell", IDS(258));
    check_ids(small, true, "helo", IDS(256, 'l', 'o'));
    check_ids(small, true, "lll", IDS(257, 'l'));
    check_ids(small, true, "aaaaaaa", IDS(261, 260, 'a'));
    check_ids(small, true, "hello hello", IDS(259, ' ', 259));
    check_ids(small, true, "h", IDS('h'));
}
END_TEST

START_TEST(added_tokens_in_the_text)
{
    check_ids(small, false, "<|endoftext|>", IDS(262));
    check_ids(small, false, "a<|end|>a<|endoftext|><|endoftext|>", IDS('a', 263, 'a', 262, 262));
    check_ids(small, false, "<|end<|end|>", IDS('<', '|', 'e', 'n', 'd', 263));
    check_ids(small, true, "<|end|>", IDS('<', '|', 'e', 'n', 'd', '|', '>'));
    check_ids(gpt2, false, "Hi<|endoftext|>", IDS(17250, 50256));
    ck_assert_int_eq(tokenizer_end_of_text(gpt2), 50256);
    ck_assert_int_eq(tokenizer_end_of_text(small), 262);
    struct token_piece piece = tokenizer_piece(gpt2, 50256);
    ck_assert(piece.size_bytes == 13 && !memcmp(piece.bytes, "<|endoftext|>", 13));
}
END_TEST

START_TEST(prefix_space)
{
    struct tokenizer *spaced;
    json_t *root = small_vocabulary();
    json_object_set_new(json_object_get(root, "pre_tokenizer"), "add_prefix_space", json_true());
    ck_assert_msg(small_vocabulary_parse(root, &spaced, &error) == STATUS_OK, "%s", error.text);
    check_ids(spaced, true, "hello", IDS(' ', 259));
    check_ids(spaced, true, " hello", IDS(' ', 259));
    check_ids(spaced, false, "hello<|end|>h<|end|>", IDS(' ', 259, 263, ' ', 'h', 263));
    int32_t *ids = NULL;
    size_t n = 1;
    ck_assert_int_eq(tokenizer_encode(spaced, "", 0, &ids, &n, &error), STATUS_OK);
    ck_assert(ids && n == 0);
    free(ids);
    tokenizer_free(spaced);
}
END_TEST

START_TEST(text_that_is_no_utf8)
{
    int32_t *ids = NULL;
    size_t n = 0;
    ck_assert_int_eq(tokenizer_encode(gpt2, "ab\xFF", 3, &ids, &n, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, "the text is not valid UTF-8: byte 0xFF at offset 2");
    ck_assert_ptr_null(ids);
}
END_TEST

START_TEST(ids_out_of_range)
{
    char *text = NULL;
    size_t size = 0;
    ck_assert_int_eq(tokenizer_decode(small, IDS(1, 264), &text, &size, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, "ids[1] is 264; the model's vocabulary allows 0 to 263");
    ck_assert_int_eq(tokenizer_decode(small, IDS(-1), &text, &size, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_null(text);
}
END_TEST

START_TEST(books_tokenizer)
{
    char path[512];
    struct tokenizer *books;
    path_in(path, sizeof path, "MILLRACE_SHARED", "models/books-mini");
    ck_assert_msg(tokenizer_open(path, 2048, &books, &error) == STATUS_OK, "%s", error.text);
    ck_assert_int_eq(tokenizer_size(books), 2048);
    ck_assert_int_eq(tokenizer_end_of_text(books), 2047);
    size_t size;
    char *text = read_text("data/wikitext-2/valid.detok.txt", &size);
    size_t n_ids = check_round_trip(books, text, size);
    ck_assert(n_ids < size / 2);
    free(text);
    tokenizer_free(books);
}
END_TEST

Suite *vectors_suite(void)
{
    Suite *suite = suite_create("vectors");
    TCase *cases = tcase_create("vectors");
    tcase_set_timeout(cases, 0);
    tcase_add_unchecked_fixture(cases, open_tokenizers, close_tokenizers);
    tcase_add_test(cases, golden_vectors);
    tcase_add_test(cases, a_megabyte_of_wikipedia);
    tcase_add_loop_test(cases, a_megabyte_of_one_character, 0, 7);
    tcase_add_test(cases, a_megabyte_without_splitting);
    tcase_add_test(cases, random_texts_survive);
    tcase_add_test(cases, any_bytes_survive);
    tcase_add_test(cases, threads_share_a_tokenizer);
    tcase_add_test(cases, every_byte_decodes);
    tcase_add_test(cases, merges_in_order);
    tcase_add_test(cases, added_tokens_in_the_text);
    tcase_add_test(cases, prefix_space);
    tcase_add_test(cases, text_that_is_no_utf8);
    tcase_add_test(cases, ids_out_of_range);
    tcase_add_test(cases, books_tokenizer);
    suite_add_tcase(suite, cases);
    return suite;
}
