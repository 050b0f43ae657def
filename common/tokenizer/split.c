#include "common/tokenizer/split.h"

static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

enum status split_compile(pcre2_code **pattern, struct error *error)
{
    int code;
    PCRE2_SIZE offset;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)gpt2_pattern, PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_UCP, &code, &offset, NULL);
    if (!compiled) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(code, reason, sizeof reason);
        return error_set(error, STATUS_INTERNAL, "the splitting pattern does not compile at %zu: %s", offset,
                         (const char *)reason);
    }
    (void)pcre2_jit_compile(compiled,
                            PCRE2_JIT_COMPLETE); /* without it pcre2_match interprets: slower, the same */
    *pattern = compiled;
    return STATUS_OK;
}

enum status split_next(const pcre2_code *pattern, pcre2_match_data *match, const char *text,
                       size_t size_bytes, size_t start, size_t *end, struct error *error)
{
    /* Without NO_UTF_CHECK every call would validate the whole text again: quadratic. */
    int code = pcre2_match(pattern, (PCRE2_SPTR)text, size_bytes, start, PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED,
                           match, NULL);
    if (code < 1)
        return error_set(error, STATUS_INTERNAL, "splitting stopped at byte %zu of %zu (PCRE2 error %d)",
                         start, size_bytes, code);
    *end = pcre2_get_ovector_pointer(match)[1];
    return STATUS_OK;
}
