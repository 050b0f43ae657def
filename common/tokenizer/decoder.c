#include "common/tokenizer/decoder.h"

#include <string.h>

#include "common/tokenizer/steps.h"

static enum status copy_text(json_t *json, const char *key, char out[16], struct error *error)
{
    const char *text = NULL;
    enum status status = step_string(json, key, &text, error);
    if (status == STATUS_OK && strlen(text) >= 16)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: more than 15 bytes are not supported", key);
    if (status == STATUS_OK)
        strcpy(out, text);
    return status;
}

struct loading {
    struct decoder *decoder;
    int n; /* steps so far */
    bool bytes, words, fused;
};

static enum status refuse(const char *type, struct error *error)
{
    return error_set(error, STATUS_INVALID_ARGUMENT, "%.60s in this place is not supported", type);
}

/* A character, as "▁", becomes a space. */
static enum status load_replace(struct loading *loading, json_t *json, const char *type, struct error *error)
{
    static const char *const known[] = {"pattern", "content", NULL};
    const char *content = json_string_value(json_object_get(json, "content"));
    enum status status = step_check_keys(json, known, error);
    if (status != STATUS_OK)
        return status;
    if (loading->fused || loading->bytes || *loading->decoder->space || !content || strcmp(content, " ") != 0)
        return refuse(type, error);
    return copy_text(json_object_get(json, "pattern"), "String", loading->decoder->space, error);
}

static enum status load_metaspace(struct loading *loading, json_t *json, const char *type,
                                  struct error *error)
{
    static const char *const known[] = {"replacement",      "prepend_scheme", "split",
                                        "add_prefix_space", "str_rep",        NULL};
    const char *scheme = json_string_value(json_object_get(json, "prepend_scheme"));
    enum status status = step_check_keys(json, known, error);
    bool prefix = true;
    if (status == STATUS_OK)
        status = step_boolean(json, "add_prefix_space", true, &prefix, error);
    if (status != STATUS_OK)
        return status;
    if (loading->fused || loading->bytes || *loading->decoder->space)
        return refuse(type, error);
    if (scheme ? strcmp(scheme, "never") != 0 : prefix)
        loading->decoder->start = START_DROP;
    return copy_text(json, "replacement", loading->decoder->space, error);
}

/* Spaces at the beginning of the whole text, once it is fused. */
static enum status load_strip(struct loading *loading, json_t *json, const char *type, struct error *error)
{
    static const char *const known[] = {"content", "start", "stop", NULL};
    const char *content = json_string_value(json_object_get(json, "content"));
    json_int_t start = json_integer_value(json_object_get(json, "start"));
    enum status status = step_check_keys(json, known, error);
    if (status != STATUS_OK)
        return status;
    if (json_integer_value(json_object_get(json, "stop")) != 0)
        return error_set(error, STATUS_INVALID_ARGUMENT, "Strip: stop above 0 is not supported");
    if (!loading->fused || loading->decoder->start != START_AS_IS || !content || strcmp(content, " ") != 0 ||
        start < 0 || start > 64)
        return refuse(type, error);
    loading->decoder->start = START_STRIP;
    loading->decoder->n_strip = (size_t)start;
    return STATUS_OK;
}

static enum status load_word_piece(struct loading *loading, json_t *json, const char *type,
                                   struct error *error)
{
    static const char *const known[] = {"prefix", "cleanup", NULL};
    enum status status = step_check_keys(json, known, error);
    if (status == STATUS_OK && loading->n > 1)
        return refuse(type, error);
    loading->words = true;
    loading->decoder->kind = DECODER_WORDS;
    loading->decoder->start = START_WORD;
    if (status == STATUS_OK)
        status = copy_text(json, "prefix", loading->decoder->prefix, error);
    if (status == STATUS_OK)
        status = step_boolean(json, "cleanup", -1, &loading->decoder->cleanup, error);
    return status;
}

static enum status load_step(void *context, json_t *json, const char *type, struct error *error)
{
    struct loading *loading = context;
    loading->n++;
    if (!strcmp(type, "Fuse")) {
        loading->fused = true;
        return STATUS_OK;
    }
    if (loading->words)
        return refuse(type, error);
    if (!strcmp(type, "ByteLevel") && !loading->fused && !*loading->decoder->space &&
        !loading->decoder->byte_fallback) {
        loading->bytes = true;
        loading->decoder->kind = DECODER_BYTES;
        return STATUS_OK;
    }
    if (!strcmp(type, "ByteFallback") && !loading->fused && !loading->bytes) {
        loading->decoder->byte_fallback = true;
        return STATUS_OK;
    }
    if (!strcmp(type, "Replace"))
        return load_replace(loading, json, type, error);
    if (!strcmp(type, "Metaspace"))
        return load_metaspace(loading, json, type, error);
    if (!strcmp(type, "Strip"))
        return load_strip(loading, json, type, error);
    if (!strcmp(type, "WordPiece"))
        return load_word_piece(loading, json, type, error);
    return !strcmp(type, "ByteLevel") || !strcmp(type, "ByteFallback") ? refuse(type, error)
                                                                       : step_refuse(type, error);
}

/* Without a decoder the reference puts a space between words; a byte-level vocabulary's bytes are joined
 * here. */
enum status decoder_load(struct decoder *decoder, json_t *root, bool byte_level, struct error *error)
{
    struct loading loading = {.decoder = decoder};
    decoder->kind = DECODER_SPACES;
    enum status status = steps_visit(root, "decoder", "decoders", load_step, &loading, error);
    if (status != STATUS_OK)
        return status;
    if (loading.n == 0) {
        decoder->kind = byte_level ? DECODER_BYTES : DECODER_WORDS;
        decoder->start = byte_level ? START_AS_IS : START_WORD;
    }
    if (byte_level != (decoder->kind == DECODER_BYTES))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "decoder: it must be ByteLevel where pre_tokenizer is, and "
                         "only there");
    return STATUS_OK;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

int decoder_byte(const struct decoder *decoder, const char *word, size_t size_bytes)
{
    if (!decoder->byte_fallback || size_bytes != 6 || memcmp(word, "<0x", 3) != 0 || word[5] != '>')
        return -1;
    int high = hex_value(word[3]), low = hex_value(word[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static void append_replaced(const char *word, size_t size, const char *what, const char *with,
                            struct text_buffer *out)
{
    size_t n = strlen(what);
    const char *place;
    while (n && (place = memmem(word, size, what, n)) != NULL) {
        text_buffer_append(out, word, (size_t)(place - word));
        text_buffer_append_string(out, with);
        size -= (size_t)(place - word) + n;
        word = place + n;
    }
    text_buffer_append(out, word, size);
}

/* The reference's cleaning of English punctuation, one replacement after the other. */
static void append_cleaned(const char *word, size_t size, struct text_buffer *out)
{
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    struct text_buffer before = {0}, after = {0};
    text_buffer_append(&before, word, size);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        after.n = 0;
        append_replaced(before.bytes ? before.bytes : "", before.n, pairs[i][0], pairs[i][1], &after);
        struct text_buffer swap = before;
        before = after;
        after = swap;
    }
    out->failed |= before.failed || after.failed;
    text_buffer_append(out, before.bytes ? before.bytes : "", before.n);
    text_buffer_release(&before);
    text_buffer_release(&after);
}

static void append_word_piece(const struct decoder *decoder, const char *word, size_t size, bool first,
                              struct text_buffer *out)
{
    struct text_buffer piece = {0};
    size_t n = strlen(decoder->prefix);
    bool goes_on = n && size >= n && !memcmp(word, decoder->prefix, n);
    if (!first && !goes_on)
        text_buffer_append(&piece, " ", 1);
    size_t skip = !first && goes_on ? n : 0;
    text_buffer_append(&piece, word + skip, size - skip);
    if (decoder->cleanup)
        append_cleaned(piece.bytes ? piece.bytes : "", piece.n, out);
    else
        text_buffer_append(out, piece.bytes ? piece.bytes : "", piece.n);
    out->failed |= piece.failed;
    text_buffer_release(&piece);
}

void decoder_append_word(const struct decoder *decoder, const char *word, size_t size_bytes, bool first,
                         struct text_buffer *out)
{
    if (decoder->kind == DECODER_WORDS)
        append_word_piece(decoder, word, size_bytes, first, out);
    else
        append_replaced(word, size_bytes, decoder->space, first && decoder->start == START_DROP ? "" : " ",
                        out);
}
