/* Lines of the log, as whoever reads standard error gets them. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/common/suites.h"

static int kept_stderr;
static FILE *captured;

static void begin_capture(void)
{
    kept_stderr = dup(STDERR_FILENO);
    captured = tmpfile();
    dup2(fileno(captured), STDERR_FILENO);
}

/* What was written meanwhile. */
static const char *end_capture(void)
{
    static char text[8192];
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    rewind(captured);
    size_t size = fread(text, 1, sizeof text - 1, captured);
    fclose(captured);
    text[size] = '\0';
    return text;
}

static void set_format(const char *format)
{
    struct error error;
    unsetenv("MILLRACE_LOG");
    log_open("tester");
    ck_assert_int_eq(log_set_format(format, &error), STATUS_OK);
}

static const struct log_field fields[] = {
    {"request", "12"},      {"reason", "it said \"no\""}, {"none", ""},      {"steps", NULL, 8},
    {"unknown", NULL, NAN}, {"seconds", NULL, 0.215},     {"replica", "r0"}, {0}};

START_TEST(text_has_the_fields_behind)
{
    set_format("text");
    begin_capture();
    log_event(LOG_INFO, "request finished", fields);
    const char *line = end_capture();
    ck_assert_str_eq(line + strlen("12:03:04.512 "),
                     "info    tester: request finished request=12 reason=\"it said \\\"no\\\"\" steps=8 "
                     "seconds=0.215 replica=r0\n");
}
END_TEST

START_TEST(json_has_the_fields_as_members)
{
    set_format("json");
    begin_capture();
    log_event(LOG_WARNING, "request finished", fields);
    json_t *line = json_loads(end_capture(), JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(line);
    ck_assert_str_eq(json_string_value(json_object_get(line, "level")), "warning");
    ck_assert_str_eq(json_string_value(json_object_get(line, "message")), "request finished");
    ck_assert_str_eq(json_string_value(json_object_get(line, "request")), "12");
    ck_assert_str_eq(json_string_value(json_object_get(line, "reason")), "it said \"no\"");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "steps")), 8);
    ck_assert_double_eq(json_real_value(json_object_get(line, "seconds")), 0.215);
    ck_assert_ptr_null(json_object_get(line, "none"));
    ck_assert_ptr_null(json_object_get(line, "unknown"));
    json_decref(line);
}
END_TEST

/* A line break in what a client sent must not begin a line of its own, and nothing may lose a line. */
START_TEST(what_comes_from_outside_forges_nothing)
{
    static const char hostile[] = "a\n12:00:00.000 info x\x1b[31m\xff\xc2\x85 \xc3\xa9";
    static const char *const formats[] = {"text", "json"};
    for (int i = 0; i < 2; i++) {
        set_format(formats[i]);
        begin_capture();
        log_info("says %s", hostile);
        log_event(LOG_INFO, "says", (struct log_field[]){{"what", hostile}, {0}});
        const char *text = end_capture();
        int n_lines = 0;
        for (const char *at = text; *at; at++) {
            n_lines += *at == '\n';
            ck_assert(*at == '\n' || (unsigned char)*at >= 0x20);
        }
        ck_assert_int_eq(n_lines, 2);
        ck_assert_ptr_nonnull(strstr(text, "a?12:00"));
        ck_assert_ptr_nonnull(strstr(text, "é"));
    }
}
END_TEST

START_TEST(a_long_line_is_cut_and_ends)
{
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    set_format("text");
    begin_capture();
    log_event(LOG_INFO, "long", (struct log_field[]){{"a", text}, {"b", text}, {0}});
    const char *line = end_capture();
    ck_assert_uint_gt(strlen(line), 1000);
    ck_assert_uint_le(strlen(line), 3072);
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
}
END_TEST

START_TEST(levels_and_formats)
{
    struct error error;
    set_format("text");
    log_set_level(LOG_WARNING);
    begin_capture();
    log_info("too little");
    log_warning("enough");
    const char *text = end_capture();
    log_set_level(LOG_INFO);
    ck_assert_ptr_null(strstr(text, "too little"));
    ck_assert_ptr_nonnull(strstr(text, "enough"));
    ck_assert_int_eq(log_set_format("xml", &error), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, "--log-format: \"xml\" is neither text nor json");
}
END_TEST

Suite *log_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = tcase_create("log");
    tcase_add_test(tests, text_has_the_fields_behind);
    tcase_add_test(tests, json_has_the_fields_as_members);
    tcase_add_test(tests, what_comes_from_outside_forges_nothing);
    tcase_add_test(tests, a_long_line_is_cut_and_ends);
    tcase_add_test(tests, levels_and_formats);
    suite_add_tcase(suite, tests);
    return suite;
}
