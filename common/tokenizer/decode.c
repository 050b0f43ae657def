/* Ids to text. One stream does it all: what differs is whether bytes that are no characters are mended. */
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/parts.h"
#include "common/utf8.h"

struct tokenizer_stream {
    const struct tokenizer *tokenizer;
    bool skip_special, mend;
    bool begun;               /* a token was taken */
    size_t strip;             /* spaces that may still go at the start */
    struct text_buffer bytes; /* of tokens that stand for bytes, until another kind of token follows */
    struct text_buffer raw;   /* mended: what may still become a character */
    struct text_buffer out;
};

static void init(struct tokenizer_stream *stream, const struct tokenizer *tokenizer, bool skip_special,
                 bool mend)
{
    *stream = (struct tokenizer_stream){.tokenizer = tokenizer, .skip_special = skip_special, .mend = mend};
    if (tokenizer->decoder.start == START_STRIP)
        stream->strip = tokenizer->decoder.n_strip;
}

static void release(struct tokenizer_stream *stream)
{
    text_buffer_release(&stream->bytes);
    text_buffer_release(&stream->raw);
    text_buffer_release(&stream->out);
}

/* Text that is final but for spaces at the start. */
static void emit(struct tokenizer_stream *stream, const char *text, size_t size)
{
    while (size && stream->strip && *text == ' ') {
        stream->strip--;
        text++;
        size--;
    }
    if (size)
        stream->strip = 0;
    text_buffer_append(&stream->out, text, size);
}

/* How many bytes at `text` could be the beginning of a character that the end cuts off; else those that are
 * surely none: the longest beginning of a character, at least one byte (Unicode, "maximal subparts"). *cut
 * says which. */
static size_t broken_size(const char *text, size_t size, bool *cut)
{
    unsigned char first = (unsigned char)text[0];
    size_t whole = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2, n = 1;
    *cut = false;
    if (first < 0xC2 || first > 0xF4)
        return 1;
    unsigned char low = first == 0xE0   ? 0xA0
                        : first == 0xF0 ? 0x90
                                        : 0x80,
                  high = first == 0xED   ? 0x9F
                         : first == 0xF4 ? 0x8F
                                         : 0xBF;
    while (n < whole && n < size && (unsigned char)text[n] >= low && (unsigned char)text[n] <= high) {
        n++;
        low = 0x80;
        high = 0xBF;
    }
    *cut = n == size && n < whole;
    return n;
}

/* Hands on what `raw` holds, up to a character that may still be completed. */
static void mend_raw(struct tokenizer_stream *stream, bool at_end)
{
    const char *text = stream->raw.bytes;
    size_t size = stream->raw.n, at = 0;
    while (at < size) {
        size_t valid = utf8_valid_size(text + at, size - at);
        emit(stream, text + at, valid);
        at += valid;
        if (at == size)
            break;
        bool cut;
        size_t broken = broken_size(text + at, size - at, &cut);
        if (cut && !at_end)
            break;
        emit(stream, "\xEF\xBF\xBD", 3);
        at += broken;
    }
    if (at)
        memmove(stream->raw.bytes, text + at, size - at);
    stream->raw.n = size - at;
}

/* Tokens for bytes are characters together, or nothing is: then each is one U+FFFD. */
static void end_bytes(struct tokenizer_stream *stream)
{
    bool valid =
        utf8_valid_size(stream->bytes.n ? stream->bytes.bytes : "", stream->bytes.n) == stream->bytes.n;
    if (valid || !stream->mend)
        emit(stream, stream->bytes.bytes, stream->bytes.n);
    for (size_t i = 0; !valid && stream->mend && i < stream->bytes.n; i++)
        emit(stream, "\xEF\xBF\xBD", 3);
    stream->bytes.n = 0;
}

/* The first token of a text may look different there. */
static void emit_first(struct tokenizer_stream *stream, int32_t id)
{
    struct token_piece word = stream->tokenizer->words[id];
    struct text_buffer piece = {0};
    decoder_append_word(&stream->tokenizer->decoder, word.bytes, word.size_bytes, true, &piece);
    emit(stream, piece.n ? piece.bytes : "", piece.n);
    stream->out.failed |= piece.failed;
    text_buffer_release(&piece);
}

static void push(struct tokenizer_stream *stream, int32_t id)
{
    const struct tokenizer *tokenizer = stream->tokenizer;
    struct token_piece piece = tokenizer_piece(tokenizer, id);
    if (!tokenizer->words[id].bytes || (stream->skip_special && tokenizer->flags[id] & TOKEN_SPECIAL))
        return;
    bool first = !stream->begun;
    stream->begun = true;
    if (tokenizer->decoder.kind == DECODER_BYTES && stream->mend) {
        text_buffer_append(&stream->raw, piece.bytes, piece.size_bytes);
        mend_raw(stream, false);
    } else if (tokenizer->flags[id] & TOKEN_BYTE) {
        text_buffer_append(&stream->bytes, piece.bytes, piece.size_bytes);
    } else {
        end_bytes(stream);
        if (first && (tokenizer->decoder.start == START_DROP || tokenizer->decoder.start == START_WORD))
            emit_first(stream, id);
        else
            emit(stream, piece.bytes, piece.size_bytes);
    }
}

static void finish(struct tokenizer_stream *stream)
{
    end_bytes(stream);
    mend_raw(stream, true);
}

static enum status check(struct tokenizer_stream *stream, struct error *error)
{
    stream->out.failed |= stream->raw.failed || stream->bytes.failed;
    return text_buffer_check(&stream->out, error);
}

static enum status decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                          bool skip_special, bool mend, char **text, size_t *size_bytes, struct error *error)
{
    struct tokenizer_stream stream;
    for (size_t i = 0; i < n_ids; i++) {
        if (ids[i] < 0 || ids[i] >= tokenizer->n_ids)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "ids[%zu] is %d; the model's vocabulary allows 0 to %d", i, ids[i],
                             tokenizer->n_ids - 1);
    }
    init(&stream, tokenizer, skip_special, mend);
    for (size_t i = 0; i < n_ids; i++)
        push(&stream, ids[i]);
    finish(&stream);
    enum status status = check(&stream, error);
    if (status == STATUS_OK) {
        *text = stream.out.bytes;
        *size_bytes = stream.out.n;
        stream.out.bytes = NULL;
    }
    release(&stream);
    return status;
}

enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n_ids, char **text,
                             size_t *size_bytes, struct error *error)
{
    return decode(tokenizer, ids, n_ids, false, false, text, size_bytes, error);
}

enum status tokenizer_decode_text(const struct tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                                  bool skip_special, char **text, size_t *size_bytes, struct error *error)
{
    return decode(tokenizer, ids, n_ids, skip_special, true, text, size_bytes, error);
}

enum status tokenizer_stream_open(const struct tokenizer *tokenizer, bool skip_special,
                                  struct tokenizer_stream **stream, struct error *error)
{
    *stream = malloc(sizeof **stream);
    if (!*stream)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a stream of text");
    init(*stream, tokenizer, skip_special, true);
    return STATUS_OK;
}

void tokenizer_stream_close(struct tokenizer_stream *stream)
{
    if (!stream)
        return;
    release(stream);
    free(stream);
}

static enum status hand_out(struct tokenizer_stream *stream, const char **text, size_t *size_bytes,
                            struct error *error)
{
    enum status status = check(stream, error);
    if (status == STATUS_OK) {
        *text = stream->out.bytes;
        *size_bytes = stream->out.n;
    }
    return status;
}

enum status tokenizer_stream_push(struct tokenizer_stream *stream, int32_t id, const char **text,
                                  size_t *size_bytes, struct error *error)
{
    if (id < 0 || id >= stream->tokenizer->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "the id is %d; the model's vocabulary allows 0 to %d", id,
                         stream->tokenizer->n_ids - 1);
    stream->out.n = 0;
    push(stream, id);
    return hand_out(stream, text, size_bytes, error);
}

enum status tokenizer_stream_finish(struct tokenizer_stream *stream, const char **text, size_t *size_bytes,
                                    struct error *error)
{
    stream->out.n = 0;
    finish(stream);
    return hand_out(stream, text, size_bytes, error);
}
