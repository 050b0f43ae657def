/* 20,000 random texts of all scripts, encoded and decoded with each of nine tokenizers, against digests of
 * what the `tokenizers` package gives. Where a digest differs, reference.py shows the texts. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/text_buffer.h"
#include "common/tokenizer/tokenizer.h"
#include "tests/tokenizer/suites.h"

enum { PER_DIGEST = 1000 };

static const struct {
    const char *name, *variable, *directory;
} tokenizers[] = {
    {"gpt2", "MILLRACE_SHARED", "data/gpt2-tokenizer"},
    {"llada", "MILLRACE_SHARED", "golden/families/llada/model"},
    {"dream", "MILLRACE_SHARED", "golden/families/dream/model"},
    {"qwen3-diffusion", "MILLRACE_SHARED", "golden/families/qwen3-diffusion/model"},
    {"diffullama", "MILLRACE_SHARED", "golden/families/diffullama/model"},
    {"bert", "MILLRACE_SOURCE", "tests/tokenizer/data/bert"},
    {"metaspace", "MILLRACE_SOURCE", "tests/tokenizer/data/metaspace"},
    {"stages", "MILLRACE_SOURCE", "tests/tokenizer/data/stages"},
    {"classes", "MILLRACE_SOURCE", "tests/tokenizer/data/classes"},
};

static json_t *pieces, *digests;

static json_t *read_data(const char *name)
{
    char path[512];
    const char *source = getenv("MILLRACE_SOURCE");
    json_error_t reason;
    snprintf(path, sizeof path, "%s/tests/tokenizer/data/%s", source ? source : ".", name);
    json_t *root = json_load_file(path, 0, &reason);
    ck_assert_msg(root != NULL, "%s: %s", path, reason.text);
    return root;
}

static void read_files(void)
{
    pieces = read_data("texts.json");
    digests = read_data("digests.json");
}

static void forget_files(void)
{
    json_decref(pieces);
    json_decref(digests);
}

/* ---- the generator of reference.py ---- */

static uint64_t below(uint64_t *state, uint64_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % n;
}

static void random_text(uint64_t seed, struct text_buffer *text)
{
    uint64_t state = seed;
    text->n = 0;
    for (uint64_t n = below(&state, 24); n > 0; n--) {
        if (below(&state, 8) == 0) {
            uint32_t character = (uint32_t)below(&state, 0x110000);
            text_buffer_append_character(text, character >= 0xD800 && character < 0xE000 ? ' ' : character);
            continue;
        }
        const char *piece = json_string_value(json_array_get(pieces, below(&state, json_array_size(pieces))));
        uint64_t times = below(&state, 6) == 0 ? 1 + below(&state, 9) : 1;
        for (uint64_t i = 0; i < times; i++)
            text_buffer_append_string(text, piece);
    }
    if (text_buffer_check(text, NULL) != STATUS_OK)
        ck_abort_msg("no memory");
}

static size_t random_ids(uint64_t seed, int n_tokens, int32_t ids[40])
{
    uint64_t state = seed ^ 0xABCDEF;
    size_t n = (size_t)below(&state, 40);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)below(&state, (uint64_t)n_tokens);
    return n;
}

static uint64_t fnv(uint64_t hash, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001B3u;
    return hash;
}

/* ---- one text ---- */

/* Check's own assertions write to a file each time, and there are millions. */
static void need(bool holds, const char *what, uint64_t seed)
{
    if (!holds)
        ck_abort_msg("text %d: %s", (int)seed, what);
}

static void check_stream(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, bool skip,
                         const char *wanted, size_t wanted_size, uint64_t seed)
{
    struct tokenizer_stream *stream = NULL;
    struct error error;
    const char *part = NULL;
    size_t size = 0, at = 0;
    need(tokenizer_stream_open(tokenizer, skip, &stream, &error) == STATUS_OK, "no stream", seed);
    for (size_t i = 0; i <= n; i++) {
        enum status status = i < n ? tokenizer_stream_push(stream, ids[i], &part, &size, &error)
                                   : tokenizer_stream_finish(stream, &part, &size, &error);
        need(status == STATUS_OK && size <= wanted_size - at && !memcmp(wanted + at, part, size),
             "the stream's text differs", seed);
        at += size;
    }
    need(at == wanted_size, "the stream's text is shorter", seed);
    tokenizer_stream_close(stream);
}

static uint64_t add_text(uint64_t hash, const struct tokenizer *tokenizer, uint64_t seed, int n_tokens,
                         struct text_buffer *text)
{
    const struct tokenizer_options options = {.special_as_text = seed % 3 == 1, .add_special = seed % 3 == 2};
    struct error error;
    int32_t *ids = NULL, random[40];
    char *decoded = NULL;
    size_t n = 0, size = 0;
    random_text(seed, text);
    enum status status = tokenizer_encode_with(tokenizer, &options, text->bytes, text->n, &ids, &n, &error);
    need(status == STATUS_OK, error.text, seed);
    hash = fnv(hash, ids, n * sizeof *ids); /* as on a machine whose low byte comes first */
    bool skip = seed % 4 == 0;
    const int32_t *back = seed % 2 ? ids : random;
    size_t n_back = seed % 2 ? n : random_ids(seed, n_tokens, random);
    status = tokenizer_decode_text(tokenizer, back, n_back, skip, &decoded, &size, &error);
    need(status == STATUS_OK, error.text, seed);
    hash = fnv(hash, decoded, size);
    check_stream(tokenizer, back, n_back, skip, decoded, size, seed);
    free(ids);
    free(decoded);
    return hash;
}

static json_t *row_of(const char *name)
{
    json_t *row;
    size_t index;
    json_array_foreach(digests, index, row)
    {
        if (!strcmp(json_string_value(json_object_get(row, "tokenizer")), name))
            return row;
    }
    ck_abort_msg("digests.json has no '%s'", name);
    return NULL;
}

static bool is_skipped(json_t *row, uint64_t seed)
{
    json_t *one;
    size_t index;
    json_array_foreach(json_object_get(row, "skipped"), index, one)
    {
        if ((uint64_t)json_integer_value(one) == seed)
            return true;
    }
    return false;
}

START_TEST(against_the_reference)
{
    char path[512];
    const char *base = getenv(tokenizers[_i].variable);
    struct tokenizer *tokenizer = NULL;
    struct error error;
    struct text_buffer text = {0};
    json_t *row = row_of(tokenizers[_i].name), *list = json_object_get(row, "digests");
    int n_tokens = (int)json_integer_value(json_object_get(row, "n_tokens"));
    snprintf(path, sizeof path, "%s/%s", base ? base : ".", tokenizers[_i].directory);
    ck_assert_msg(tokenizer_open(path, (int)json_integer_value(json_object_get(row, "n_ids")), &tokenizer,
                                 &error) == STATUS_OK,
                  "%s", error.text);
    ck_assert_int_eq(tokenizer_size(tokenizer), n_tokens);
    ck_assert_uint_eq(json_array_size(list), 20);
    for (size_t k = 0; k < json_array_size(list); k++) {
        uint64_t hash = 0xCBF29CE484222325u;
        char digest[17];
        for (uint64_t seed = k * PER_DIGEST; seed < (k + 1) * PER_DIGEST; seed++)
            hash = is_skipped(row, seed) ? hash : add_text(hash, tokenizer, seed, n_tokens, &text);
        snprintf(digest, sizeof digest, "%016llx", (unsigned long long)hash);
        ck_assert_msg(!strcmp(digest, json_string_value(json_array_get(list, k))),
                      "%s: of texts %zu to %zu one differs; run reference.py compare", tokenizers[_i].name,
                      k * PER_DIGEST, (k + 1) * PER_DIGEST - 1);
    }
    text_buffer_release(&text);
    tokenizer_free(tokenizer);
}
END_TEST

Suite *reference_suite(void)
{
    Suite *suite = suite_create("reference");
    TCase *cases = tcase_create("reference");
    tcase_set_timeout(cases, 0);
    tcase_add_unchecked_fixture(cases, read_files, forget_files);
    tcase_add_loop_test(cases, against_the_reference, 0, sizeof tokenizers / sizeof *tokenizers);
    suite_add_tcase(suite, cases);
    return suite;
}
