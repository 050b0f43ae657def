#include <string.h>

#include "cli/pins.h"
#include "tests/cli/suites.h"

/* Pinned positions as a row of '#' and '.', or "no". */
static const char *pins(const char *text, const char *const *pieces, size_t n, size_t n_pinned)
{
    static char out[64];
    struct canvas canvas;
    struct infill infill;
    struct error error;
    ck_assert_int_eq(canvas_init(&canvas, n, 0, 1, &error), STATUS_OK);
    ck_assert_int_eq(infill_parse(text, 0, &infill, &error), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(canvas_set(&canvas, i, 0, pieces[i], strlen(pieces[i]), &error), STATUS_OK);
    bool found = pins_mark(&canvas, &infill, n_pinned);
    for (size_t i = 0; i < n; i++) {
        out[i] = canvas.cells[i].is_pinned ? '#' : '.';
        ck_assert(found || !canvas.cells[i].is_pinned);
    }
    out[n] = '\0';
    infill_release(&infill);
    canvas_release(&canvas);
    return found ? out : "no";
}

static const char *const cat[] = {"The", " ", "x", "y", " s", "at", ".", "z"};

START_TEST(parts_are_found)
{
    ck_assert_str_eq(pins("The ___ sat.___", cat, 8, 5), "##..###.");
    ck_assert_str_eq(pins("The ___2___ sat.___", cat, 8, 5), "##..###.");
    ck_assert_str_eq(pins("___2___x___4___.___1___", cat, 8, 1), "no"); /* parts that do not fill it */
    ck_assert_str_eq(pins("The ___ dog.___", cat, 8, 5), "no");
    ck_assert_str_eq(pins("The ___ sat.___", cat, 8, 4), "no");
    ck_assert_str_eq(pins("The ___ sat.", cat, 7, 5), "##..###");
    ck_assert_str_eq(pins("___", cat, 3, 0), "...");
    ck_assert_str_eq(pins("The ___ sat. and much more", cat, 8, 5), "no");
}
END_TEST

START_TEST(mask_tokens_spell_nothing)
{
    static const char *const masked[] = {"", "", "a", ""};
    ck_assert_str_eq(pins("___2___a___", masked, 4, 1), "..#.");
    ck_assert_str_eq(pins("a___", masked, 4, 1), "no");
}
END_TEST

Suite *pins_suite(void)
{
    Suite *suite = suite_create("pins");
    TCase *cases = tcase_create("pins");
    tcase_add_test(cases, parts_are_found);
    tcase_add_test(cases, mask_tokens_spell_nothing);
    suite_add_tcase(suite, cases);
    return suite;
}
