#include "common/tokenizer/split.h"

/*
 * The classes of characters are written out where PCRE2 and the reference library differ: a class decides
 * where a text is split, and so which ids the model sees. White space is the property White_Space. PCRE2's \s
 * also has U+180E, which left that property in Unicode 6.3. Letters and numbers are those of Unicode 16;
 * PCRE2 10.42 knows Unicode 14, so the later ones are added by ranges. A newer PCRE2 has them in its own
 * tables, and the result is the same.
 */
#define SPACE                                                                             \
    "\\t-\\r\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}" \
    "\\x{205F}\\x{3000}"
#define LETTER                                                                             \
    "\\p{L}\\x{1C89}-\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}\\x{105C0}-\\x{105F3}" \
    "\\x{10D4A}-\\x{10D65}\\x{10D6F}-\\x{10D85}\\x{10EC2}-\\x{10EC4}\\x{1123F}-\\x{11240}" \
    "\\x{11380}-\\x{11389}\\x{1138B}\\x{1138E}\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}"   \
    "\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{11F10}\\x{11F12}-\\x{11F33}"  \
    "\\x{1342F}\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}"            \
    "\\x{16D40}-\\x{16D6C}\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}"             \
    "\\x{1E030}-\\x{1E06D}\\x{1E4D0}-\\x{1E4EB}\\x{1E5D0}-\\x{1E5ED}\\x{1E5F0}\\x{2B739}"  \
    "\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}"
#define NUMBER                                                                             \
    "\\p{N}\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}"                \
    "\\x{11F50}-\\x{11F59}\\x{16130}-\\x{16139}\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}" \
    "\\x{1D2C0}-\\x{1D2D3}\\x{1E4F0}-\\x{1E4F9}\\x{1E5F1}-\\x{1E5FA}"

/* ASCII first: its classes are bit maps, which the compiled pattern tests several times faster than the long
 * ones. */
#define BEYOND_ASCII "(?![\\x00-\\x7F])"
#define LETTERS "(?:[A-Za-z]++|" BEYOND_ASCII "[" LETTER "]++)++"
#define NUMBERS "(?:[0-9]++|" BEYOND_ASCII "[" NUMBER "]++)++"
#define SIGNS \
    "(?:[!-/:-@\\[-`{-~\\x00-\\x08\\x0E-\\x1F\\x7F]++|" BEYOND_ASCII "[^" SPACE LETTER NUMBER "]++)++"

static const char gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?" LETTERS "| ?" NUMBERS "| ?" SIGNS "|[" SPACE
                                   "]+(?![^" SPACE "])|[" SPACE "]+";

const char split_gpt2_source[] =
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
                            PCRE2_JIT_COMPLETE); /* without it pcre2_match interprets, more slowly */
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
