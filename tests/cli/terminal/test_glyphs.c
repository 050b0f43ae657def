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
    {"Ａ", "Ａ", 3, 2},                 /* full width */
    {"ｱ", "ｱ", 3, 1},                   /* half width */
    {"한", "한", 3, 2},
    {"\xE2\x80\x8D", "\xE2\x80\x8D", 3, 0},     /* zero width joiner */
    {"\xE2\x80\xA8", "\xEF\xBF\xBD", 3, 1},     /* line separator */
    {"\xCD\xB8", "\xEF\xBF\xBD", 2, 1},         /* U+0378: no character */
    {"\xF4\x8F\xBF\xBF", "\xEF\xBF\xBD", 4, 1}, /* U+10FFFF: none either */
    {"\xE0\xA4\xBE", "\xE0\xA4\xBE", 3, 1},     /* Devanagari's aa, beside its letter */
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
    {"abcd👍🏽", 7, "abcd/👍🏽/"}, /* a cluster is not cut */
    {"ab 👍🏽", 6, "ab/👍🏽/"},
};

START_TEST(wrapping)
{
    ck_assert_str_eq(wrap(wraps[_i].text, wraps[_i].columns), wraps[_i].lines);
}
END_TEST

/* Texts that are one cluster, and the most columns that a terminal gives it. */
static const struct {
    const char *text;
    int width;
} clusters[] = {
    {"e\xCC\x81", 1},
    {"o\xCC\x82\xCC\xA3", 1},         /* two marks */
    {"\xE0\xA4\xA8\xE0\xA4\xBE", 2},  /* Devanagari, a vowel beside its letter */
    {"\xE1\x84\x92\xE1\x85\xA1", 3},  /* Hangul from its parts */
    {"👩‍👩‍👧‍👦", 8}, /* joined by U+200D */
    {"👍🏽", 4},                  /* with a colour of skin */
    {"🇩🇪", 2},                        /* a flag is two letters */
    {"❤️", 2},                    /* U+2764 U+FE0F */
    {"1️⃣", 2},                   /* a keycap */
};

START_TEST(clusters_stay_together)
{
    struct glyph_text glyphs = {0};
    const char *text = clusters[_i].text;
    for (size_t cut = 0; cut < strlen(text); cut++) { /* and across the calls, at every border */
        if (((unsigned char)text[cut] & 0xC0) == 0x80)
            continue;
        glyph_text_clear(&glyphs);
        ck_assert_int_eq(glyph_text_append(&glyphs, text, cut, 1), STATUS_OK);
        ck_assert_int_eq(glyph_text_append(&glyphs, text + cut, strlen(text) - cut, 2), STATUS_OK);
        ck_assert_uint_eq(glyphs.n_glyphs, 1);
        ck_assert_int_eq(glyphs.glyphs[0].width, clusters[_i].width);
        ck_assert_int_eq(glyphs.glyphs[0].style, cut == 0 ? 2 : 1);
        ck_assert_uint_eq(glyphs.glyphs[0].size_bytes, strlen(text));
        ck_assert_mem_eq(glyphs.glyphs[0].bytes, text, strlen(text));
    }
    glyph_text_release(&glyphs);
}
END_TEST

static const struct {
    const char *text;
    size_t n_glyphs;
} neighbours[] = {
    {"ab", 2}, {"漢字", 2}, {"🙂🙂", 2}, {"🇩🇪🇫🇷", 2}, {"\n\xCC\x81", 2}, {"\t\xCC\x81", 5}, {"\r\n", 2},
};

START_TEST(neighbours_stay_apart)
{
    struct glyph_text glyphs = {0};
    const char *text = neighbours[_i].text;
    ck_assert_int_eq(glyph_text_append(&glyphs, text, strlen(text), 0), STATUS_OK);
    ck_assert_uint_eq(glyphs.n_glyphs, neighbours[_i].n_glyphs);
    glyph_text_release(&glyphs);
}
END_TEST

/* However many marks stand on a letter, every byte is shown and none takes a column. */
START_TEST(a_tower_of_marks_is_cut)
{
    enum { N_MARKS = 100 };
    struct glyph_text glyphs = {0};
    size_t shown = 0;
    int width = 0;
    ck_assert_int_eq(glyph_text_append(&glyphs, "Z", 1, 0), STATUS_OK);
    for (int i = 0; i < N_MARKS; i++)
        ck_assert_int_eq(glyph_text_append(&glyphs, "\xCC\x81", 2, 0), STATUS_OK);
    for (size_t i = 0; i < glyphs.n_glyphs; i++) {
        shown += glyphs.glyphs[i].size_bytes;
        width += glyphs.glyphs[i].width;
    }
    ck_assert_uint_eq(shown, 1 + 2 * N_MARKS);
    ck_assert_int_eq(width, 1);
    glyph_text_release(&glyphs);
}
END_TEST

START_TEST(a_cluster_wider_than_the_terminal_has_a_line)
{
    struct glyph_text glyphs = {0};
    const char text[] = "a👩‍👩‍👧‍👦b";
    ck_assert_int_eq(glyph_text_append(&glyphs, text, strlen(text), 0), STATUS_OK);
    ck_assert_int_eq(glyph_text_wrap(&glyphs, 4), STATUS_OK);
    ck_assert_uint_eq(glyphs.n_lines, 3);
    ck_assert_int_eq(glyphs.lines[1].width, 8);
    glyph_text_release(&glyphs);
}
END_TEST

Suite *glyphs_suite(void)
{
    Suite *suite = suite_create("glyphs");
    TCase *cases = tcase_create("glyphs");
    tcase_add_loop_test(cases, characters_are_made_harmless, 0, sizeof characters / sizeof *characters);
    tcase_add_loop_test(cases, clusters_stay_together, 0, sizeof clusters / sizeof *clusters);
    tcase_add_loop_test(cases, neighbours_stay_apart, 0, sizeof neighbours / sizeof *neighbours);
    tcase_add_test(cases, a_tower_of_marks_is_cut);
    tcase_add_test(cases, a_cluster_wider_than_the_terminal_has_a_line);
    tcase_add_loop_test(cases, wrapping, 0, sizeof wraps / sizeof *wraps);
    suite_add_tcase(suite, cases);
    return suite;
}
