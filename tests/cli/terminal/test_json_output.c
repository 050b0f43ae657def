/* The JSON that scripts read: exact seeds, bytes that are no text, numbers that JSON does not have. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal/json_output.h"
#include "tests/cli/suites.h"

static char request_id[] = "17", model_name[] = "books-mini", replica_name[] = "r0", text[] = "caf\xc3\xa9";

/* The value on lines of its own; takes the value. The caller frees the text. */
static char *printed(json_t *value, int indent)
{
    char *written = NULL;
    size_t size;
    struct error error;
    FILE *out = open_memstream(&written, &size);
    ck_assert_msg(json_print(value, indent, out, &error) == STATUS_OK, "%s", error.text);
    fclose(out);
    return written;
}

static void check_printed(json_t *value, const char *expected)
{
    char *written = printed(value, 0);
    ck_assert_str_eq(written, expected);
    free(written);
}

START_TEST(a_seed_keeps_all_of_its_64_bits)
{
    Millrace__V1__Accepted accepted = MILLRACE__V1__ACCEPTED__INIT;
    accepted.request_id = request_id, accepted.model = model_name;
    accepted.seed = 18446744073709551615u;
    accepted.length = 64, accepted.steps = 8, accepted.pinned = 3;
    accepted.temperature = 0.5f;
    accepted.solver = MILLRACE__V1__SOLVER__MIXTURE_EULER;
    check_printed(json_of_accepted(&accepted),
                  "{\"request_id\":\"17\",\"model\":\"books-mini\",\"seed\":\"18446744073709551615\","
                  "\"length\":64,\"steps\":8,\"pinned\":3,\"temperature\":0.5,\"solver\":\"euler\"}\n");
}
END_TEST

START_TEST(bytes_that_are_no_text_become_the_replacement_character)
{
    static const char part[] = {'a', (char)0xc3, 'b', '\0', (char)0xff};
    check_printed(json_pack("[o]", json_of_bytes(part, sizeof part)), "[\"a\xef\xbf\xbd"
                                                                      "b\\u0000\xef\xbf\xbd\"]\n");
    check_printed(json_pack("[o]", json_of_bytes("caf\xc3\xa9", 5)), "[\"caf\xc3\xa9\"]\n");
    check_printed(json_pack("[o]", json_of_bytes("", 0)), "[\"\"]\n");
}
END_TEST

START_TEST(a_frame_has_ids_and_pieces_of_its_positions)
{
    uint32_t positions[] = {0, 63}, ids[] = {50256, 4294967295u};
    uint8_t first[] = "x", second[] = {0xc3};
    ProtobufCBinaryData pieces[] = {{1, first}, {1, second}};
    Millrace__V1__Frame frame = MILLRACE__V1__FRAME__INIT;
    frame.step = 2, frame.steps = 8, frame.final = 1;
    frame.n_positions = frame.n_ids = frame.n_pieces = 2;
    frame.positions = positions, frame.ids = ids, frame.pieces = pieces;
    check_printed(json_of_frame(&frame), "{\"step\":2,\"steps\":8,\"positions\":[0,63],"
                                         "\"ids\":[50256,4294967295],\"pieces\":[\"x\",\"\xef\xbf\xbd\"],"
                                         "\"piece_bytes\":{\"1\":\"c3\"},"
                                         "\"final\":true}\n");
}
END_TEST

START_TEST(what_is_no_number_is_null)
{
    Millrace__V1__Finished finished = MILLRACE__V1__FINISHED__INIT;
    Millrace__V1__Timings timings = MILLRACE__V1__TIMINGS__INIT;
    finished.text = text, finished.replica = replica_name, finished.ranks = 2;
    finished.entropy_bits = NAN, finished.mean_log_probability = -INFINITY;
    timings.queue_ms = 1.25, timings.first_frame_ms = INFINITY;
    finished.timings = &timings;
    json_t *value = json_of_finished(&finished);
    ck_assert_str_eq(json_string_value(json_object_get(value, "text")), text);
    ck_assert(json_is_null(json_object_get(value, "entropy_bits")));
    ck_assert(json_is_null(json_object_get(value, "mean_log_probability")));
    const json_t *shown = json_object_get(value, "timings");
    ck_assert_double_eq(json_real_value(json_object_get(shown, "queue_ms")), 1.25);
    ck_assert(json_is_null(json_object_get(shown, "first_frame_ms")));
    json_decref(value);
    finished.timings = NULL;
    value = json_of_finished(&finished);
    ck_assert(json_is_null(json_object_get(value, "timings")));
    json_decref(value);
}
END_TEST

START_TEST(a_status_without_recent_figures_says_null)
{
    Millrace__V1__StatusResponse status = MILLRACE__V1__STATUS_RESPONSE__INIT;
    status.model = model_name, status.version = request_id;
    status.accepted = 1ull << 60;
    json_t *value = json_of_status(&status);
    ck_assert(json_is_null(json_object_get(value, "recent")));
    ck_assert_uint_eq(json_array_size(json_object_get(value, "replicas")), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(value, "accepted")), 1ll << 60);
    json_decref(value);
}
END_TEST

START_TEST(one_line_or_many)
{
    char *line = printed(json_pack("{s:i, s:[i]}", "a", 1, "b", 2), 0),
         *lines = printed(json_pack("{s:i}", "a", 1), 2);
    ck_assert_str_eq(line, "{\"a\":1,\"b\":[2]}\n");
    ck_assert_str_eq(lines, "{\n  \"a\": 1\n}\n");
    free(line);
    free(lines);
}
END_TEST

START_TEST(what_cannot_be_written_is_an_error)
{
    struct error error;
    FILE *full = fopen("/dev/full", "w");
    ck_assert_ptr_nonnull(full);
    ck_assert_int_eq(json_print(json_pack("[i]", 1), 0, full, &error), STATUS_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(error.text, "cannot be written"));
    fclose(full);
    ck_assert_int_eq(json_print(NULL, 0, stdout, &error), STATUS_RESOURCE_EXHAUSTED);
}
END_TEST

Suite *json_output_suite(void)
{
    Suite *suite = suite_create("json_output");
    TCase *cases = tcase_create("json_output");
    tcase_add_test(cases, a_seed_keeps_all_of_its_64_bits);
    tcase_add_test(cases, bytes_that_are_no_text_become_the_replacement_character);
    tcase_add_test(cases, a_frame_has_ids_and_pieces_of_its_positions);
    tcase_add_test(cases, what_is_no_number_is_null);
    tcase_add_test(cases, a_status_without_recent_figures_says_null);
    tcase_add_test(cases, one_line_or_many);
    tcase_add_test(cases, what_cannot_be_written_is_an_error);
    suite_add_tcase(suite, cases);
    return suite;
}
