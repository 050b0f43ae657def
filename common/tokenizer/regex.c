/* Compiling and searching; what a pattern means is in regex_translate.c. */
#include "common/tokenizer/regex.h"

#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

/* Bounds of one search: steps of the matcher, and KiB of its heap when it interprets. */
enum { STEPS_MAX = 10000000, HEAP_KIB_MAX = 65536 };

struct regex {
    pcre2_code *code;
    pcre2_match_context *limits;
};

static pcre2_code *compile(const char *pattern, size_t size_bytes, struct error *error)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    int reason = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *code = NULL;
    if (context && pcre2_set_newline(context, PCRE2_NEWLINE_LF) == 0)
        code = pcre2_compile((PCRE2_SPTR)pattern, size_bytes,
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &reason,
                             &offset, context);
    pcre2_compile_context_free(context);
    if (!code) {
        PCRE2_UCHAR text[128] = "no memory";
        if (reason)
            pcre2_get_error_message(reason, text, sizeof text);
        error_set(error, STATUS_INVALID_ARGUMENT, "does not compile: %s", (const char *)text);
    }
    return code;
}

enum status regex_open(const char *pattern, size_t size_bytes, struct regex **regex, struct error *error)
{
    struct text_buffer translated = {0};
    struct regex *made = calloc(1, sizeof *made);
    enum status status = made ? regex_translate(pattern, size_bytes, &translated, error)
                              : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a pattern");
    if (status == STATUS_OK) {
        made->code = compile(translated.bytes, translated.n, error);
        made->limits = pcre2_match_context_create(NULL);
        if (!made->code)
            status = STATUS_INVALID_ARGUMENT;
        else if (!made->limits)
            status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a pattern");
    }
    text_buffer_release(&translated);
    if (status != STATUS_OK) {
        regex_free(made);
        return status == STATUS_INVALID_ARGUMENT ? error_prefix(error, "the pattern \"%.160s\"", pattern)
                                                 : status;
    }
    pcre2_set_match_limit(made->limits, STEPS_MAX);
    pcre2_set_heap_limit(made->limits, HEAP_KIB_MAX);
    (void)pcre2_jit_compile(made->code,
                            PCRE2_JIT_COMPLETE); /* without it pcre2_match interprets, more slowly */
    *regex = made;
    return STATUS_OK;
}

void regex_free(struct regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    pcre2_match_context_free(regex->limits);
    free(regex);
}

pcre2_match_data *regex_room(void)
{
    return pcre2_match_data_create(1, NULL);
}

enum status regex_find(const struct regex *regex, pcre2_match_data *room, const char *text, size_t size_bytes,
                       size_t start, bool *found, size_t *match_start, size_t *match_end, struct error *error)
{
    /* Without NO_UTF_CHECK every call would validate the whole text again: quadratic. */
    int code = pcre2_match(regex->code, (PCRE2_SPTR)text, size_bytes, start, PCRE2_NO_UTF_CHECK, room,
                           regex->limits);
    if (code == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter has the heap */
        code = pcre2_match(regex->code, (PCRE2_SPTR)text, size_bytes, start,
                           PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, room, regex->limits);
    *found = code >= 0;
    if (code == PCRE2_ERROR_NOMATCH)
        return STATUS_OK;
    if (code < 0)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "splitting stopped at byte %zu of %zu: the tokenizer's pattern takes too many steps for "
            "this text (PCRE2 error %d)",
            start, size_bytes, code);
    *match_start = pcre2_get_ovector_pointer(room)[0];
    *match_end = pcre2_get_ovector_pointer(room)[1];
    return STATUS_OK;
}
