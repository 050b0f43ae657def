#include <stdio.h>
#include <string.h>

#include "cli/terminal/glyphs.h"
#include "tests/cli/suites.h"

static const struct {
    const char *text, *shown;
    size_t taken;
    int width;
} characters[] = {
    {"a", "a", 1, 1},
    {"é", "é", 2, 1},
    {"漢", "漢", 3, 2},
    {"🙂", "🙂", 4, 2},
    {"\xCC\x81", "\xCC\x81", 2, 0}, /* combining acute */
    {"\033[31m", "␛", 1, 1},        /* escape */
    {"\r", "␍", 1, 1},
    {"\x07", "␇", 1, 1},
    {"\x7F", "␡", 1, 1},
    {"\xC2\x9B", "\xEF\xBF\xBD", 2, 1},     /* the C1 control that is ESC [ in one */
    {"\xE2\x80\xAE", "\xEF\xBF\xBD", 3, 1}, /* right-to-left override */
    {"\xFF", "\xEF\xBF\xBD", 1, 1},
    {"\xE6\xBC", "\xEF\xBF\xBD", 1, 1}, /* a character cut in two */
};

START_TEST(characters_are_made_harmless)
{
    struct glyph glyph;
    ck_assert_uint_eq(glyph_read(characters[_i].text, strlen(characters[_i].text), &glyph),
                      characters[_i].taken);
    ck_assert_uint_eq(glyph.size_bytes, strlen(characters[_i].shown));
    ck_assert_mem_eq(glyph.bytes, characters[_i].shown, glyph.size_bytes);
    ck_assert_int_eq(glyph.width, characters[_i].width);
    ck_assert(!glyph.is_break);
}
END_TEST

/* Lines joined with "/". */
static const char *wrap(const char *text, int columns)
{
    static char out[512];
    struct glyph_text glyphs = {0};
    size_t size = 0;
    ck_assert_int_eq(glyph_text_append(&glyphs, text, strlen(text), 0), STATUS_OK);
    ck_assert_int_eq(glyph_text_wrap(&glyphs, columns), STATUS_OK);
    for (size_t i = 0; i < glyphs.n_lines; i++) {
        ck_assert_int_le(glyphs.lines[i].width, columns);
        for (size_t g = glyphs.lines[i].first; g < glyphs.lines[i].end; g++) {
            memcpy(out + size, glyphs.glyphs[g].bytes, glyphs.glyphs[g].size_bytes);
            size += glyphs.glyphs[g].size_bytes;
        }
        out[size++] = '/';
    }
    out[size] = '\0';
    glyph_text_release(&glyphs);
    return out;
}

static const struct {
    const char *text;
    int columns;
    const char *lines;
} wraps[] = {
    {"", 5, "/"},
    {"abc", 5, "abc/"},
    {"abcde", 5, "abcde/"},
    {"abcdef", 5, "abcde/f/"},
    {"abc def", 5, "abc/def/"},
    {"abcde fgh", 5, "abcde/fgh/"},
    {"ab cd ef", 5, "ab cd/ef/"},
    {"a\nb\n", 5, "a/b//"},
    {"\n\n", 5, "///"},
    {"漢字漢", 5, "漢字/漢/"},
    {"abcd漢", 5, "abcd/漢/"},
    {"abcdé", 5, "abcdé/"},
    {"e\xCC\x81\x65\xCC\x81", 2, "e\xCC\x81\x65\xCC\x81/"},
    {"a\tb", 9, "a    b/"},
    {"  abcdef", 5, " /abcde/f/"},
    {"🙂🙂", 3, "🙂/🙂/"},
};

START_TEST(wrapping)
{
    ck_assert_str_eq(wrap(wraps[_i].text, wraps[_i].columns), wraps[_i].lines);
}
END_TEST

Suite *glyphs_suite(void)
{
    Suite *suite = suite_create("glyphs");
    TCase *cases = tcase_create("glyphs");
    tcase_add_loop_test(cases, characters_are_made_harmless, 0, sizeof characters / sizeof *characters);
    tcase_add_loop_test(cases, wrapping, 0, sizeof wraps / sizeof *wraps);
    suite_add_tcase(suite, cases);
    return suite;
}
