/* W3C trace context: which headers are taken, and what is made of them. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/trace.h"
#include "tests/common/suites.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

START_TEST(a_valid_header_is_continued)
{
    struct trace trace;
    char header[TRACE_HEADER_SIZE];
    ck_assert(trace_begin(&trace, "00-" TRACE "-" SPAN "-01"));
    ck_assert_str_eq(trace.trace_id, TRACE);
    ck_assert_str_eq(trace.parent_id, SPAN);
    ck_assert(trace.sampled);
    ck_assert_str_ne(trace.span_id, SPAN); /* a new one for our hop */
    trace_header(&trace, header);
    ck_assert_uint_eq(strlen(header), 55);
    ck_assert_int_eq(strncmp(header, "00-" TRACE "-", 36), 0);
    ck_assert_int_eq(strncmp(header + 36, trace.span_id, 16), 0);
    ck_assert_str_eq(header + 52, "-01");
}
END_TEST

/* The standard's own cases: unknown versions are read as far as we know them, ff never; flags are bits. */
START_TEST(what_is_taken)
{
    static const struct {
        const char *header;
        bool taken, sampled;
    } cases[] = {
        {"00-" TRACE "-" SPAN "-00", true, false},
        {"00-" TRACE "-" SPAN "-03", true, true},
        {"00-" TRACE "-" SPAN "-fe", true, false},
        {"cc-" TRACE "-" SPAN "-01", true, true},
        {"cc-" TRACE "-" SPAN "-01-what-the-future-will-be-like", true, true},
        {"cc-" TRACE "-" SPAN "-01.what", false, false},
        {"00-" TRACE "-" SPAN "-01-what", false, false},
        {"ff-" TRACE "-" SPAN "-01", false, false},
        {"00-00000000000000000000000000000000-" SPAN "-01", false, false},
        {"00-" TRACE "-0000000000000000-01", false, false},
        {"00-" TRACE "-B7AD6B7169203331-01", false, false},
        {"00-" TRACE "-" SPAN "-0", false, false},
        {"00-" TRACE "-" SPAN "-0x", false, false},
        {"00-" TRACE "_" SPAN "-01", false, false},
        {"0-" TRACE "-" SPAN "-01", false, false},
        {"", false, false},
        {NULL, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trace trace = {.trace_id = "untouched"};
        ck_assert_msg(trace_parse(cases[i].header, &trace) == cases[i].taken, "%s", cases[i].header);
        ck_assert_int_eq(trace.sampled, cases[i].sampled);
        ck_assert(cases[i].taken || !strcmp(trace.trace_id, "untouched"));
    }
}
END_TEST

/* Whatever bytes come: what is taken has the form of the standard, and is read as it stands there. */
START_TEST(hostile_headers)
{
    static const char good[] = "00-" TRACE "-" SPAN "-01", bytes[] = "0123456789abcdefABCDEFg-. \x01\xff";
    uint32_t state = 1;
    int n_taken = 0;
    for (int i = 0; i < 200000; i++) {
        struct trace trace;
        char header[80];
        snprintf(header, sizeof header, "%s%s", good, i % 3 ? "" : "-more");
        for (int change = 0; change < i % 4; change++) {
            state = state * 1664525 + 1013904223;
            header[(state >> 8) % sizeof good] = bytes[(state >> 20) % (sizeof bytes - 1)];
        }
        if (!trace_parse(header, &trace))
            continue;
        n_taken++;
        ck_assert_int_eq(strncmp(trace.trace_id, header + 3, 32), 0);
        ck_assert_int_eq(strncmp(trace.parent_id, header + 36, 16), 0);
        ck_assert_uint_eq(strspn(trace.trace_id, "0123456789abcdef"), 32);
        ck_assert_uint_eq(strspn(trace.parent_id, "0123456789abcdef"), 16);
    }
    ck_assert_int_gt(n_taken, 10000);
    ck_assert_int_lt(n_taken, 190000);
}
END_TEST

START_TEST(without_one_a_trace_begins)
{
    struct trace a, b;
    char header[TRACE_HEADER_SIZE];
    ck_assert(!trace_begin(&a, NULL));
    ck_assert(!trace_begin(&b, "rubbish"));
    ck_assert_str_ne(a.trace_id, b.trace_id);
    ck_assert_str_eq(a.parent_id, "");
    trace_header(&a, header);
    ck_assert(trace_parse(header, &b)); /* ours is valid too */
    ck_assert_str_eq(b.trace_id, a.trace_id);
}
END_TEST

Suite *trace_suite(void)
{
    Suite *suite = suite_create("trace");
    TCase *tests = tcase_create("trace");
    tcase_add_test(tests, a_valid_header_is_continued);
    tcase_add_test(tests, what_is_taken);
    tcase_add_test(tests, hostile_headers);
    tcase_add_test(tests, without_one_a_trace_begins);
    suite_add_tcase(suite, tests);
    return suite;
}
