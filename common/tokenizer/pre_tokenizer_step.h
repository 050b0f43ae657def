#ifndef MILLRACE_COMMON_TOKENIZER_PRE_TOKENIZER_STEP_H
#define MILLRACE_COMMON_TOKENIZER_PRE_TOKENIZER_STEP_H

#include "common/tokenizer/pieces.h"
#include "common/tokenizer/regex.h"
#include "common/tokenizer/split.h"

enum pre_tokenizer_kind {
    PRE_RULES,      /* split.h */
    PRE_REGEX,      /* Split */
    PRE_LITERAL,    /* Split, CharDelimiterSplit */
    PRE_CHARACTERS, /* where a property of a character decides */
    PRE_WORDS,      /* Whitespace: runs of \w, and runs of what is neither \w nor white space */
    PRE_METASPACE,
    PRE_PREFIX_SPACE, /* ByteLevel's add_prefix_space */
    PRE_ALPHABET,     /* every byte becomes a character of the byte alphabet */
    PRE_BYTES,        /* and back */
};

enum prepend_scheme { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };

struct pre_tokenizer_step {
    enum pre_tokenizer_kind kind;
    enum split_behavior behavior;
    bool invert;
    const struct split_rules *rules;
    struct regex *regex;
    char literal[16]; /* of Split, or Metaspace's replacement */
    bool (*has_property)(uint32_t character);
    enum prepend_scheme prepend;
    bool splits; /* Metaspace's split */
};

bool pre_tokenizer_is_punctuation(uint32_t character);
bool pre_tokenizer_is_number(uint32_t character);

/* Makes the pieces of `to` (as zeros) out of those of `from`. */
enum status pre_tokenizer_step_run(const struct pre_tokenizer_step *step, const struct pieces *from,
                                   struct pieces *to, struct error *error);

#endif
