/* ignore_merges: true means that a piece of text that is a word of the vocabulary becomes that word at once.
 * The merges come to the same if they build every word whole; then the setting changes nothing. */
#include <stdlib.h>

#include "common/tokenizer/bpe.h"
#include "common/tokenizer/parts.h"

static enum status check_word(const struct tokenizer *tokenizer, int32_t id, struct bpe_scratch *scratch,
                              struct id_buffer *out, struct error *error)
{
    struct token_piece piece = tokenizer->pieces[id];
    out->n = 0;
    enum status status = bpe_encode(&tokenizer->merges, tokenizer->byte_ids, piece.bytes, piece.size_bytes,
                                    scratch, out, error);
    if (status == STATUS_OK && (out->n != 1 || out->ids[0] != id))
        status = error_set(error, STATUS_INVALID_ARGUMENT,
                           "model.ignore_merges: true is not supported with a word that the merges do not "
                           "build, as that of the id %d",
                           id);
    return status;
}

enum status whole_words_check(const struct tokenizer *tokenizer, struct error *error)
{
    struct bpe_scratch scratch = {0};
    struct id_buffer out = {0};
    enum status status = STATUS_OK;
    for (int32_t id = 0; status == STATUS_OK && id < tokenizer->n_pieces; id++) {
        if (!added_tokens_has_id(&tokenizer->added, id))
            status = check_word(tokenizer, id, &scratch, &out, error);
    }
    bpe_scratch_release(&scratch);
    free(out.ids);
    return status;
}
