/* The view on a model of a terminal: what a person would see. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal/view.h"
#include "tests/cli/terminal/screen.h"
#include "tests/cli/suites.h"

static struct view view;
static struct canvas canvas;
static struct screen screen;
static struct error error;

static void begin(int columns, int rows, size_t n_cells, size_t n_pinned, uint32_t steps)
{
    screen_init(&screen, columns, rows);
    view_init(&view, true);
    ck_assert_int_eq(canvas_init(&canvas, n_cells, n_pinned, steps, &error), STATUS_OK);
}

static void finish(void)
{
    ck_assert_int_eq(screen.n_offences, 0);
    canvas_release(&canvas);
    view_release(&view);
}

static void set(size_t position, const char *piece)
{
    ck_assert_int_eq(canvas_set(&canvas, position, 1, piece, strlen(piece), &error), STATUS_OK);
}

static void feed(FILE *out, char **bytes, size_t *size)
{
    fclose(out);
    screen_feed(&screen, *bytes, *size);
    free(*bytes);
}

static void draw(void)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    struct view_size terminal = {screen.columns, screen.rows};
    ck_assert_int_eq(view_draw(&view, &canvas, (struct view_progress){12.3}, terminal, out), STATUS_OK);
    feed(out, &bytes, &size);
}

static void erase(void)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    view_erase(&view, (struct view_size){screen.columns, screen.rows}, out);
    feed(out, &bytes, &size);
}

START_TEST(a_text_refined_in_place)
{
    begin(20, 10, 4, 1, 2);
    canvas_begin_step(&canvas, 0);
    set(0, "Once");
    for (size_t i = 1; i < 4; i++)
        set(i, "");
    draw();
    ck_assert_str_eq(screen_row(&screen, 0), "Once···");
    ck_assert_str_eq(screen_row(&screen, 1), "step 0/2  4 changed");
    ck_assert(screen.cursor_hidden && screen.cells[0][0].bold && screen.cells[0][4].colour == 238);
    canvas_begin_step(&canvas, 1);
    set(1, " upon");
    set(2, " a\n");
    draw();
    ck_assert_str_eq(screen_row(&screen, 0), "Once upon a");
    ck_assert_str_eq(screen_row(&screen, 1), "·");
    ck_assert_str_eq(screen_row(&screen, 2), "step 1/2  2 changed");
    ck_assert_int_eq(screen.cells[0][5].colour, 97);
    canvas_begin_step(&canvas, 2);
    set(2, " a ");
    set(3, "time there was");
    draw();
    ck_assert_str_eq(screen_row(&screen, 0), "Once upon a time");
    ck_assert_str_eq(screen_row(&screen, 1), "there was");
    ck_assert_int_eq(screen.cells[0][5].colour, 97);
    ck_assert_int_eq(screen.cells[0][12].colour, 223);
    ck_assert_str_eq(screen_row(&screen, 2), "step 2/2  2 changed");
    finish();
}
END_TEST

START_TEST(fewer_lines_leave_nothing_behind)
{
    begin(20, 10, 2, 0, 4);
    canvas_begin_step(&canvas, 1);
    set(0, "a\nb\nc\nd\n");
    set(1, "end");
    draw();
    ck_assert_str_eq(screen_row(&screen, 5), "step 1/4  2 changed");
    canvas_begin_step(&canvas, 2);
    set(0, "short ");
    draw();
    ck_assert_str_eq(screen_row(&screen, 0), "short end");
    ck_assert_str_eq(screen_row(&screen, 1), "step 2/4  1 changed");
    for (int row = 2; row < 10; row++)
        ck_assert_str_eq(screen_row(&screen, row), "");
    finish();
}
END_TEST

/* A row that fills the terminal must not lose its last character nor make a row more. */
START_TEST(full_rows)
{
    begin(10, 6, 1, 0, 1);
    for (int times = 0; times < 3; times++) {
        canvas_begin_step(&canvas, 1);
        set(0, "0123456789abcdefghij");
        draw();
        ck_assert_str_eq(screen_row(&screen, 0), "0123456789");
        ck_assert_str_eq(screen_row(&screen, 1), "abcdefghij");
        ck_assert_str_eq(screen_row(&screen, 3), "");
    }
    ck_assert_int_eq(screen.n_scrolled, 0);
    finish();
}
END_TEST

START_TEST(a_long_text_shows_its_end)
{
    begin(20, 6, 12, 0, 1);
    for (uint32_t step = 0; step < 2; step++) {
        canvas_begin_step(&canvas, step);
        for (size_t i = 0; i < 12; i++) {
            char line[16];
            snprintf(line, sizeof line, "line %zu%s", i, i < 11 ? "\n" : "");
            set(i, line);
        }
        draw();
        ck_assert_str_eq(screen_row(&screen, 0), "... 9 lines above");
        ck_assert_str_eq(screen_row(&screen, 1), "line 9");
        ck_assert_str_eq(screen_row(&screen, 3), "line 11");
        ck_assert_int_eq(screen.n_scrolled, 0);
    }
    finish();
}
END_TEST

/* It began at the bottom of the screen: the first drawing scrolls, the later ones stay. */
START_TEST(at_the_bottom_of_the_screen)
{
    begin(20, 6, 1, 0, 3);
    screen_feed(&screen, "1\r\n2\r\n3\r\n4\r\n5\r\n", 15);
    for (uint32_t step = 1; step <= 3; step++) {
        canvas_begin_step(&canvas, step);
        set(0, "a\nb\nc");
        draw();
    }
    ck_assert_int_eq(screen.n_scrolled, 3);
    ck_assert_str_eq(screen_row(&screen, 1), "5");
    ck_assert_str_eq(screen_row(&screen, 2), "a");
    ck_assert_str_eq(screen_row(&screen, 4), "c");
    finish();
}
END_TEST

START_TEST(a_terminal_that_becomes_narrower)
{
    begin(20, 12, 1, 0, 2);
    canvas_begin_step(&canvas, 1);
    set(0, "0123456789 123456789");
    draw();
    struct screen narrow; /* the terminal wraps anew what it shows */
    screen_init(&narrow, 10, 12);
    screen_feed(&narrow, "0123456789", 10);
    screen_feed(&narrow, " 123456789\r\n", 12);
    screen_feed(&narrow, "step 1/2  1 changed", 19);
    screen = narrow;
    canvas_begin_step(&canvas, 2);
    set(0, "new text");
    draw();
    ck_assert_str_eq(screen_row(&screen, 0), "new text");
    ck_assert_str_eq(screen_row(&screen, 1), "step 2/2 ");
    ck_assert_str_eq(screen_row(&screen, 2), "");
    finish();
}
END_TEST

/* The bytes of one character in two tokens; a lone half; a token that means harm. */
START_TEST(pieces_of_characters)
{
    begin(20, 6, 4, 0, 1);
    canvas_begin_step(&canvas, 1);
    set(0, "caf\xC3");
    set(1, "\xA9 ");
    set(2, "\xE6\xBC");
    set(3, "\033[2J\033]0;x\a");
    draw();
    ck_assert_str_eq(screen_row(&screen, 0), "caf\xC3\xA9 \xEF\xBF\xBD\xEF\xBF\xBD␛[2J␛]0;x␇");
    finish();
}
END_TEST

START_TEST(erasing_puts_the_terminal_right)
{
    begin(20, 6, 1, 0, 1);
    screen_feed(&screen, "$ millrace\r\n", 12);
    canvas_begin_step(&canvas, 1);
    set(0, "a\nb");
    draw();
    erase();
    ck_assert_str_eq(screen_row(&screen, 0), "$ millrace");
    ck_assert_str_eq(screen_row(&screen, 1), "");
    ck_assert_str_eq(screen_row(&screen, 3), "");
    ck_assert(!screen.cursor_hidden && screen.row == 1 && screen.column == 0);
    finish();
}
END_TEST

START_TEST(without_colour)
{
    begin(60, 6, 2, 1, 1);
    view.with_colour = false;
    canvas_begin_step(&canvas, 1);
    set(0, "a");
    set(1, "b");
    draw();
    ck_assert(!screen.cells[0][0].bold && screen.cells[0][1].colour == -1);
    ck_assert_str_eq(screen_row(&screen, 1), "step 1/1 ████████████  2 changed  12 tokens/s");
    finish();
}
END_TEST

START_TEST(positions_that_are_not_there)
{
    begin(20, 6, 2, 0, 1);
    ck_assert_int_eq(canvas_set(&canvas, 2, 1, "x", 1, &error), STATUS_DATA_LOSS);
    ck_assert_str_eq(error.text, "a frame names position 2 of a text of 2");
    finish();
}
END_TEST

START_TEST(plain_text_obeys_nothing)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    view_print_plain("a\tb\nc\033[31m\r\xFF", 12, out);
    fclose(out);
    ck_assert_str_eq(bytes, "a\tb\nc␛[31m␍\xEF\xBF\xBD");
    free(bytes);
}
END_TEST

Suite *view_suite(void)
{
    Suite *suite = suite_create("view");
    TCase *cases = tcase_create("view");
    tcase_add_test(cases, a_text_refined_in_place);
    tcase_add_test(cases, fewer_lines_leave_nothing_behind);
    tcase_add_test(cases, full_rows);
    tcase_add_test(cases, a_long_text_shows_its_end);
    tcase_add_test(cases, at_the_bottom_of_the_screen);
    tcase_add_test(cases, a_terminal_that_becomes_narrower);
    tcase_add_test(cases, pieces_of_characters);
    tcase_add_test(cases, erasing_puts_the_terminal_right);
    tcase_add_test(cases, without_colour);
    tcase_add_test(cases, positions_that_are_not_there);
    tcase_add_test(cases, plain_text_obeys_nothing);
    suite_add_tcase(suite, cases);
    return suite;
}
