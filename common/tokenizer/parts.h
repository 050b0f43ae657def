#ifndef MILLRACE_COMMON_TOKENIZER_PARTS_H
#define MILLRACE_COMMON_TOKENIZER_PARTS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/tokenizer/added_tokens.h"
#include "common/tokenizer/bpe.h"
#include "common/tokenizer/byte_store.h"
#include "common/tokenizer/decoder.h"
#include "common/tokenizer/merges.h"
#include "common/tokenizer/normalizer.h"
#include "common/tokenizer/post_processor.h"
#include "common/tokenizer/pre_tokenizer.h"
#include "common/tokenizer/tokenizer.h"
#include "common/tokenizer/words.h"

enum token_flags {
    TOKEN_SPECIAL = 1,
    TOKEN_BYTE = 2, /* stands for one byte of a character: "<0x0A>" */
};

enum model_kind {
    MODEL_BYTES,      /* BPE whose first symbols are bytes */
    MODEL_CHARACTERS, /* BPE whose first symbols are characters, as SentencePiece has it */
    MODEL_WORD_PIECE, /* the longest words first, as BERT has it */
};

/* What a tokenizer is made of. Written while it is loaded, read-only afterwards. */
struct tokenizer {
    struct token_piece *words;  /* [n_ids] as the file spells them; bytes NULL: no token has this id */
    struct token_piece *pieces; /* [n_ids] as they are within a text */
    unsigned char *flags;       /* [n_ids] enum token_flags */
    int n_ids;                  /* V of the model */
    int n_tokens;               /* ids with a word */
    struct byte_store store;    /* the bytes of words and pieces */

    enum model_kind model;
    struct word_table table;   /* words of model.vocab → ids; with MODEL_BYTES their pieces */
    int32_t byte_ids[256];     /* the token of every single byte, or -1 */
    struct merge_table merges; /* BPE */
    bool ignore_merges;        /* a piece that is a word becomes it at once */
    bool byte_fallback;        /* a character that is no word becomes its bytes */
    bool fuse_unknown;         /* of unknown characters in a row comes one token */
    int32_t unknown; /* what becomes of a character, or WordPiece's word, that is not there; or -1 */
    struct token_piece continuing; /* WordPiece: stands before a word that goes on; "##" */
    size_t word_characters_max;    /* WordPiece: a longer word is unknown */
    size_t longest_word;           /* bytes */

    struct added_tokens added;            /* looked for in the text as it comes */
    struct added_tokens added_normalized; /* and in the normalized one */
    struct normalizer normalizer;
    struct pre_tokenizer pre_tokenizer;
    struct post_processor post_processor;
    struct decoder decoder;
    int32_t end_of_text; /* or -1 */
};

/* Takes the settings of tokenizer.json; refuses those that are not supported. */
enum status settings_load(struct tokenizer *tokenizer, json_t *root, struct error *error);

/* Loads vocabulary, added tokens and merges from the parsed file. After settings_load. */
enum status vocabulary_load(struct tokenizer *tokenizer, json_t *root, struct error *error);

/* Reads model.merges. */
enum status merges_load(struct tokenizer *tokenizer, json_t *model, json_t *vocab, struct error *error);

/* Reads added_tokens. Their words may be in `vocab` too. */
enum status added_tokens_load(struct tokenizer *tokenizer, json_t *root, json_t *vocab, struct error *error);

/* Gives an id its word and its piece. `text` is the token as the file spells it, `literal` says that it
 * stands for itself and is not spelled in the byte alphabet. INVALID_ARGUMENT: it is not written in that
 * alphabet. */
enum status token_set(struct tokenizer *tokenizer, int32_t id, const char *text, size_t size_bytes,
                      bool literal, struct error *error);

/* The id in a value of model.vocab or added_tokens, checked. */
enum status token_read_id(const struct tokenizer *tokenizer, json_t *value, const char *what,
                          const char *word, int32_t *id, struct error *error);

/* Appends the ids of one piece of text. */
enum status model_encode(const struct tokenizer *tokenizer, const char *piece, size_t size_bytes,
                         struct bpe_scratch *scratch, struct id_buffer *out, struct error *error);

/* The tokenizer.json that older files of a directory amount to, where there is none: vocab.json and
 * merges.txt, or vocab.txt. NOT_FOUND: there are none of these either. */
enum status older_files_read(const char *directory, json_t **root, struct error *error);

#endif
