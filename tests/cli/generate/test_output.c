/* What comes out of a stream of events. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/generate/output.h"
#include "tests/cli/suites.h"

static struct output output;
static char *bytes, *remarks;
static size_t size, remarks_size;
static FILE *out, *remarks_out;
static struct error error;

static void begin(enum output_kind kind)
{
    bytes = remarks = NULL;
    out = open_memstream(&bytes, &size);
    remarks_out = open_memstream(&remarks, &remarks_size);
    output_init(&output, kind, true, 0, out, remarks_out);
}

static void end(void)
{
    output_release(&output);
    fclose(out);
    fclose(remarks_out);
}

static void forget(void)
{
    free(bytes);
    free(remarks);
}

/* Events must be as a server's are: allocated, and freed by the library. */
static enum status send(Millrace__V1__GenerateEvent *prototype)
{
    uint8_t packed[1024];
    size_t n = millrace__v1__generate_event__pack(prototype, packed);
    Millrace__V1__GenerateEvent *event = millrace__v1__generate_event__unpack(NULL, n, packed);
    enum status status = output_event(&output, event, &error);
    millrace__v1__generate_event__free_unpacked(event, NULL);
    return status;
}

static char request_id[] = "q1", model[] = "books", text[] = "Hé!", replica[] = "r0";
static uint32_t positions[] = {0, 1}, ids[] = {7, 8};
static uint8_t first_piece[] = {'H', 0xC3}, second_piece[] = {0xA9, '!'};

static enum status send_accepted(void)
{
    Millrace__V1__Accepted accepted = MILLRACE__V1__ACCEPTED__INIT;
    Millrace__V1__GenerateEvent event = MILLRACE__V1__GENERATE_EVENT__INIT;
    accepted.request_id = request_id;
    accepted.model = model;
    accepted.seed = UINT64_MAX;
    accepted.length = 2;
    accepted.steps = 1;
    accepted.pinned = 1;
    accepted.temperature = 1;
    event.kind_case = MILLRACE__V1__GENERATE_EVENT__KIND_ACCEPTED;
    event.accepted = &accepted;
    return send(&event);
}

static enum status send_frame(uint32_t last_position)
{
    ProtobufCBinaryData pieces[] = {{2, first_piece}, {2, second_piece}};
    Millrace__V1__Frame frame = MILLRACE__V1__FRAME__INIT;
    Millrace__V1__GenerateEvent event = MILLRACE__V1__GENERATE_EVENT__INIT;
    positions[1] = last_position;
    frame.step = frame.steps = 1;
    frame.positions = positions;
    frame.ids = ids;
    frame.pieces = pieces;
    frame.n_positions = frame.n_ids = frame.n_pieces = 2;
    frame.final = 1;
    event.kind_case = MILLRACE__V1__GENERATE_EVENT__KIND_FRAME;
    event.frame = &frame;
    return send(&event);
}

static enum status send_finished(void)
{
    Millrace__V1__Finished finished = MILLRACE__V1__FINISHED__INIT;
    Millrace__V1__Timings timings = MILLRACE__V1__TIMINGS__INIT;
    Millrace__V1__GenerateEvent event = MILLRACE__V1__GENERATE_EVENT__INIT;
    timings.total_ms = 500;
    finished.text = text;
    finished.n_ids = 2;
    finished.ids = ids;
    finished.prompt_tokens = finished.generated_tokens = 1;
    finished.seed = UINT64_MAX;
    finished.entropy_bits = 1;
    finished.mean_log_probability = (double)NAN;
    finished.timings = &timings;
    finished.replica = replica;
    finished.ranks = 2;
    event.kind_case = MILLRACE__V1__GENERATE_EVENT__KIND_FINISHED;
    event.finished = &finished;
    return send(&event);
}

static void send_all(void)
{
    ck_assert_int_eq(send_accepted(), STATUS_OK);
    ck_assert_int_eq(send_frame(1), STATUS_OK);
    ck_assert_int_eq(send_finished(), STATUS_OK);
}

START_TEST(text_and_a_remark)
{
    begin(OUTPUT_TEXT);
    send_all();
    end();
    ck_assert_str_eq(bytes, "Hé!\n");
    ck_assert_str_eq(remarks,
                     "1 tokens in 0.50 s (2 tokens/s), 1 steps; entropy 1.00 bits; again with --seed "
                     "18446744073709551615\n");
    forget();
}
END_TEST

START_TEST(one_object)
{
    begin(OUTPUT_JSON);
    send_all();
    end();
    json_t *object = json_loads(bytes, 0, NULL);
    ck_assert(json_is_object(object));
    ck_assert_str_eq(json_string_value(json_object_get(object, "text")), "Hé!");
    ck_assert_str_eq(json_string_value(json_object_get(object, "seed")), "18446744073709551615");
    ck_assert_str_eq(json_string_value(json_object_get(object, "request_id")), "q1");
    ck_assert_int_eq(json_integer_value(json_object_get(object, "length")), 2);
    ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(object, "ids"), 1)), 8);
    ck_assert(json_is_null(json_object_get(object, "mean_log_probability")));
    ck_assert(json_number_value(json_object_get(json_object_get(object, "timings"), "total_ms")) == 500);
    ck_assert_str_eq(remarks, "");
    json_decref(object);
    forget();
}
END_TEST

START_TEST(one_object_a_line)
{
    static const char *const events[] = {"accepted", "frame", "finished"};
    begin(OUTPUT_FRAMES);
    send_all();
    end();
    char *rest = bytes;
    for (int i = 0; i < 3; i++) {
        json_t *object = json_loads(strsep(&rest, "\n"), 0, NULL);
        ck_assert_str_eq(json_string_value(json_object_get(object, "event")), events[i]);
        if (i == 1) {
            json_t *pieces = json_object_get(object, "pieces");
            ck_assert_str_eq(json_string_value(json_array_get(pieces, 0)), "H\xEF\xBF\xBD");
            ck_assert_str_eq(json_string_value(json_array_get(pieces, 1)), "\xEF\xBF\xBD!");
            ck_assert(json_is_true(json_object_get(object, "final")));
        }
        json_decref(object);
    }
    ck_assert_str_eq(rest, "");
    forget();
}
END_TEST

START_TEST(the_view_ends_with_the_plain_text)
{
    begin(OUTPUT_VIEW);
    send_all();
    end();
    ck_assert_ptr_nonnull(strstr(bytes, "\033[?25l"));
    const char *last = strrchr(bytes, '\033');
    ck_assert_str_eq(last, "\033[?25hHé!\n");
    forget();
}
END_TEST

START_TEST(a_view_that_is_cut_short_shows_the_cursor_again)
{
    begin(OUTPUT_VIEW);
    ck_assert_int_eq(send_accepted(), STATUS_OK);
    ck_assert_int_eq(send_frame(1), STATUS_OK);
    end();
    ck_assert_str_eq(strrchr(bytes, '\033'), "\033[?25h");
    forget();
}
END_TEST

START_TEST(servers_that_do_not_keep_to_it)
{
    begin(OUTPUT_VIEW);
    ck_assert_int_eq(send_frame(1), STATUS_DATA_LOSS);
    ck_assert_str_eq(error.text, "the server's first answer is not that the request is accepted");
    ck_assert_int_eq(send_accepted(), STATUS_OK);
    ck_assert_int_eq(send_frame(2), STATUS_DATA_LOSS);
    ck_assert_str_eq(error.text, "a frame names position 2 of a text of 2");
    ck_assert_int_eq(send_accepted(), STATUS_DATA_LOSS);
    end();
    forget();
}
END_TEST

Suite *output_suite(void)
{
    Suite *suite = suite_create("output");
    TCase *cases = tcase_create("output");
    tcase_add_test(cases, text_and_a_remark);
    tcase_add_test(cases, one_object);
    tcase_add_test(cases, one_object_a_line);
    tcase_add_test(cases, the_view_ends_with_the_plain_text);
    tcase_add_test(cases, a_view_that_is_cut_short_shows_the_cursor_again);
    tcase_add_test(cases, servers_that_do_not_keep_to_it);
    suite_add_tcase(suite, cases);
    return suite;
}
