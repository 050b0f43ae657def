/* From the wire to a request: every bad field is named, every good one is laid out as asked. And the text of
 * the end. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/philox.h"
#include "coordinator/request/render_text.h"
#include "tests/coordinator/request/fixture.h"

static struct served_model model;

static void set_up(void)
{
    open_demonstration_model(&model);
}

static void tear_down(void)
{
    served_model_close(&model);
}

static Millrace__V1__GenerateRequest empty_request(void)
{
    Millrace__V1__GenerateRequest wire = MILLRACE__V1__GENERATE_REQUEST__INIT;
    wire.seed_choice_case = MILLRACE__V1__GENERATE_REQUEST__SEED_CHOICE_SEED;
    wire.seed = 7;
    return wire;
}

static void set_prompt(Millrace__V1__GenerateRequest *wire, const char *prompt)
{
    wire->input_case = MILLRACE__V1__GENERATE_REQUEST__INPUT_PROMPT;
    wire->prompt = (char *)prompt;
}

static void set_length(Millrace__V1__GenerateRequest *wire, uint32_t length)
{
    wire->length_choice_case = MILLRACE__V1__GENERATE_REQUEST__LENGTH_CHOICE_LENGTH;
    wire->length = length;
}

static void set_steps(Millrace__V1__GenerateRequest *wire, uint32_t steps)
{
    wire->steps_choice_case = MILLRACE__V1__GENERATE_REQUEST__STEPS_CHOICE_STEPS;
    wire->steps = steps;
}

static void set_temperature(Millrace__V1__GenerateRequest *wire, float temperature)
{
    wire->temperature_choice_case = MILLRACE__V1__GENERATE_REQUEST__TEMPERATURE_CHOICE_TEMPERATURE;
    wire->temperature = temperature;
}

static struct request accept_wire(const Millrace__V1__GenerateRequest *wire)
{
    struct request request;
    struct error error = {0};
    ck_assert_msg(request_from_wire(wire, &model, &request, &error) == STATUS_OK, "%s", error.text);
    return request;
}

/* The sentence must hold all of `words`, separated by '|'. */
static void refuse_wire(const Millrace__V1__GenerateRequest *wire, enum status status, const char *words)
{
    struct request request = {0};
    struct error error = {0};
    char copy[256], *rest = copy, *word;
    ck_assert_int_eq(request_from_wire(wire, &model, &request, &error), status);
    ck_assert_ptr_null(request.ids); /* outputs are set only on success */
    snprintf(copy, sizeof copy, "%s", words);
    while ((word = strsep(&rest, "|")))
        ck_assert_msg(strstr(error.text, word) != NULL, "no \"%s\" in: %s", word, error.text);
}

/* ---- choices ---- */

START_TEST(defaults_come_from_the_model)
{
    Millrace__V1__GenerateRequest wire = empty_request();
    struct request request = accept_wire(&wire);
    ck_assert_int_eq(request.length, model.config.trained_length);
    ck_assert_int_eq(request.steps, model.config.default_steps);
    ck_assert_int_eq(request.n_pinned, 0);
    ck_assert(request.temperature == 1.0f);
    ck_assert_uint_eq(request.seed, 7);
    request_release(&request);
}
END_TEST

START_TEST(a_seed_is_drawn_when_none_is_given)
{
    Millrace__V1__GenerateRequest wire = empty_request();
    wire.seed_choice_case = MILLRACE__V1__GENERATE_REQUEST__SEED_CHOICE__NOT_SET;
    struct request one = accept_wire(&wire), other = accept_wire(&wire);
    ck_assert_uint_ne(one.seed, other.seed);
    request_release(&one);
    request_release(&other);
}
END_TEST

START_TEST(bad_choices_are_named)
{
    static const float temperatures[] = {NAN, INFINITY, -INFINITY, 0, -1, 0.009f, 100.1f};
    Millrace__V1__GenerateRequest wire = empty_request();
    set_length(&wire, 0);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "length|0|1 to 1024");
    set_length(&wire, 1025);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "length|1025|1 to 1024");
    set_length(&wire, UINT32_MAX);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "length|4294967295|1 to 1024");
    wire = empty_request();
    set_steps(&wire, 0);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "steps|0|1 to 1024");
    set_steps(&wire, 1025);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "steps|1025|1 to 1024");
    wire = empty_request();
    for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++) {
        set_temperature(&wire, temperatures[i]);
        refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "temperature|0.01 to 100");
    }
    wire = empty_request();
    wire.model = (char *)"gpt-9";
    refuse_wire(&wire, STATUS_NOT_FOUND, "model|gpt-9|books-mini");
}
END_TEST

START_TEST(bounds_themselves_are_allowed)
{
    Millrace__V1__GenerateRequest wire = empty_request();
    wire.model = model.config.name;
    set_length(&wire, 1024);
    set_steps(&wire, 1024);
    set_temperature(&wire, 100);
    struct request request = accept_wire(&wire);
    ck_assert_int_eq(request.length, 1024);
    request_release(&request);
    set_length(&wire, 1);
    set_steps(&wire, 1);
    set_temperature(&wire, 0.01f);
    request = accept_wire(&wire);
    ck_assert_int_eq(request.length, 1);
    request_release(&request);
}
END_TEST

/* ---- prompts ---- */

START_TEST(a_prompt_is_pinned_and_the_rest_is_drawn)
{
    int32_t *ids;
    size_t n;
    Millrace__V1__GenerateRequest wire = empty_request();
    set_prompt(&wire, "Once upon a time");
    ck_assert_int_eq(tokenizer_encode(model.tokenizer, wire.prompt, strlen(wire.prompt), &ids, &n, NULL),
                     STATUS_OK);
    struct request request = accept_wire(&wire);
    ck_assert_int_eq(request.n_pinned, (int)n);
    for (int i = 0; i < request.length; i++) {
        bool pinned = (size_t)i < n;
        double u = philox_uniform(7, 0, (uint32_t)i, PHILOX_INITIAL);
        ck_assert_int_eq(request.editable[i], !pinned);
        ck_assert_int_eq(request.ids[i], pinned ? ids[i] : (int32_t)(u * model.config.vocabulary));
    }
    free(ids);
    request_release(&request);
}
END_TEST

START_TEST(a_mask_model_starts_from_masks)
{
    Millrace__V1__GenerateRequest wire = empty_request();
    set_prompt(&wire, "Once");
    model.config.source = SOURCE_MASK;
    model.config.mask_token = model.config.vocabulary;
    model.config.n_ids = model.config.vocabulary + 1;
    struct request request = accept_wire(&wire);
    for (int i = 0; i < request.length; i++)
        ck_assert(!request.editable[i] == (request.ids[i] < model.config.vocabulary));
    request_release(&request);
}
END_TEST

/* "a " repeated; at least n tokens. */
static char *long_text(int n)
{
    char *text = malloc(2 * (size_t)n + 1);
    for (int i = 0; i < n; i++)
        memcpy(text + 2 * i, i % 2 ? "7 " : "x ", 2);
    text[2 * n] = '\0';
    return text;
}

START_TEST(a_prompt_must_leave_room)
{
    Millrace__V1__GenerateRequest wire = empty_request();
    char *text = long_text(1030);
    set_prompt(&wire, text);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "prompt|tokens|1024");
    text[80] = '\0';
    set_length(&wire, 8);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "prompt|nothing to write|length of 8");
    text[80] = 'x';
    text[2 * 150] = '\0'; /* more than the trained length: room is made */
    wire.length_choice_case = MILLRACE__V1__GENERATE_REQUEST__LENGTH_CHOICE__NOT_SET;
    struct request request = accept_wire(&wire);
    ck_assert_int_eq(request.length, request.n_pinned + model.config.trained_length);
    request_release(&request);
    free(text);
}
END_TEST

/* ---- infill ---- */

enum { MAX_SEGMENTS = 8 };
struct infill {
    Millrace__V1__Infill infill;
    Millrace__V1__Segment segments[MAX_SEGMENTS], *pointers[MAX_SEGMENTS];
};

/* "text", or a gap of so many: "#12". Ends with NULL. */
static void set_infill(Millrace__V1__GenerateRequest *wire, struct infill *infill, const char *const *parts)
{
    millrace__v1__infill__init(&infill->infill);
    infill->infill.segments = infill->pointers;
    for (size_t i = 0; parts[i]; i++) {
        Millrace__V1__Segment *segment = infill->pointers[i] = &infill->segments[i];
        millrace__v1__segment__init(segment);
        segment->kind_case =
            parts[i][0] == '#' ? MILLRACE__V1__SEGMENT__KIND_GAP : MILLRACE__V1__SEGMENT__KIND_TEXT;
        if (parts[i][0] == '#')
            segment->gap = (uint32_t)strtoul(parts[i] + 1, NULL, 10);
        else
            segment->text = (char *)parts[i];
        infill->infill.n_segments = i + 1;
    }
    wire->input_case = MILLRACE__V1__GENERATE_REQUEST__INPUT_INFILL;
    wire->infill = &infill->infill;
}

static int count_editable(const struct request *request, int from, int to)
{
    int n = 0;
    for (int i = from; i < to; i++)
        n += request->editable[i];
    return n;
}

START_TEST(sized_gaps_make_the_length)
{
    struct infill infill;
    Millrace__V1__GenerateRequest wire = empty_request();
    set_infill(&wire, &infill, (const char *const[]){"#5", "Once upon", "#7", NULL});
    struct request request = accept_wire(&wire);
    ck_assert_int_eq(request.length, 12 + request.n_pinned);
    ck_assert_int_eq(count_editable(&request, 0, 5), 5);
    ck_assert_int_eq(count_editable(&request, 5, request.length - 7), 0);
    ck_assert_int_eq(count_editable(&request, request.length - 7, request.length), 7);
    request_release(&request);
    set_length(&wire, 100);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "infill|add up to|length is 100");
}
END_TEST

START_TEST(open_gaps_share_what_is_left)
{
    struct infill infill;
    Millrace__V1__GenerateRequest wire = empty_request();
    set_infill(&wire, &infill, (const char *const[]){"#0", "Once", "#4", "#0", "upon", "#0", NULL});
    set_length(&wire, 100);
    struct request request = accept_wire(&wire);
    int open = 100 - 4 - request.n_pinned;
    int first = 0;
    while (request.editable[first])
        first++;
    ck_assert_int_eq(first, open / 3 + (open % 3 > 0)); /* the first ones get what does not divide */
    ck_assert_int_eq(count_editable(&request, 0, 100), open + 4);
    request_release(&request);
    set_length(&wire, 8);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "infill|nothing to write|length of 8");
}
END_TEST

START_TEST(bad_infills_are_named)
{
    struct infill infill;
    Millrace__V1__GenerateRequest wire = empty_request();
    set_infill(&wire, &infill, (const char *const[]){"only", "text", NULL});
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "infill|none|gap");
    set_infill(&wire, &infill, (const char *const[]){NULL});
    infill.infill.n_segments = 0;
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "infill|gap");
    set_infill(&wire, &infill, (const char *const[]){"a", "#1000", "#1000", NULL});
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "infill|add up to|1024");
    set_infill(&wire, &infill, (const char *const[]){"a", "#4294967295", "#4294967295", NULL});
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "infill.segments[1]|4294967295|1024");
    set_infill(&wire, &infill, (const char *const[]){"a", "#3", NULL});
    infill.segments[1].kind_case = MILLRACE__V1__SEGMENT__KIND__NOT_SET;
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "infill.segments[1]|neither text nor gap");
    set_infill(&wire, &infill, (const char *const[]){"#3", "bad \xff", NULL});
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "infill.segments[1]");
}
END_TEST

/* ---- tokens ---- */

static Millrace__V1__TokenInput tokens_of(uint32_t *ids, size_t n, uint8_t *editable, size_t n_editable)
{
    Millrace__V1__TokenInput tokens = MILLRACE__V1__TOKEN_INPUT__INIT;
    tokens.ids = ids;
    tokens.n_ids = n;
    tokens.editable = (ProtobufCBinaryData){n_editable, editable};
    return tokens;
}

static void set_tokens(Millrace__V1__GenerateRequest *wire, Millrace__V1__TokenInput *tokens)
{
    wire->input_case = MILLRACE__V1__GENERATE_REQUEST__INPUT_TOKENS;
    wire->tokens = tokens;
}

START_TEST(tokens_are_taken_as_they_are)
{
    uint32_t ids[] = {5, 99999, 2047};
    uint8_t editable[] = {0, 1, 0};
    Millrace__V1__TokenInput tokens = tokens_of(ids, 3, editable, 3);
    Millrace__V1__GenerateRequest wire = empty_request();
    set_tokens(&wire, &tokens);
    struct request request = accept_wire(&wire);
    ck_assert_int_eq(request.length, 3);
    ck_assert_int_eq(request.n_pinned, 2);
    ck_assert_int_eq(request.ids[0], 5);
    ck_assert_int_lt(request.ids[1], 2048); /* the value at an editable position is ignored */
    ck_assert_int_eq(request.ids[2], 2047);
    request_release(&request);
}
END_TEST

START_TEST(bad_tokens_are_named)
{
    static uint32_t ids[1025];
    static uint8_t editable[1025];
    Millrace__V1__GenerateRequest wire = empty_request();
    Millrace__V1__TokenInput tokens = tokens_of(ids, 0, editable, 0);
    set_tokens(&wire, &tokens);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "tokens.ids|0 of them|1 to 1024");
    tokens = tokens_of(ids, 1025, editable, 1025);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "tokens.ids|1025|1 to 1024");
    tokens = tokens_of(ids, 4, editable, 3);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "tokens.editable|3 bytes|4 ids");
    tokens = tokens_of(ids, 4, editable, 4);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "tokens.editable|all 4|pinned");
    editable[1] = 2;
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "tokens.editable[1]|2|0 nor 1");
    editable[1] = 1;
    ids[3] = 2048;
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "tokens.ids[3]|2048|vocabulary");
    ids[3] = 0;
    set_length(&wire, 5);
    refuse_wire(&wire, STATUS_INVALID_ARGUMENT, "length|5|4");
    editable[1] = 0;
}
END_TEST

/* ---- text ---- */

START_TEST(entropy_is_that_of_the_histogram)
{
    static const int32_t same[] = {3, 3, 3, 3}, four[] = {9, 1, 5, 2}, mixed[] = {1, 2, 1, 1};
    ck_assert_double_eq(text_entropy_bits(same, 4), 0);
    ck_assert_double_eq(text_entropy_bits(four, 4), 2);
    ck_assert_double_eq_tol(text_entropy_bits(mixed, 4), 0.8112781244591328, 1e-15);
    ck_assert_double_eq(text_entropy_bits(NULL, 0), 0);
}
END_TEST

static void assert_repaired(const char *text, size_t size, const char *expected)
{
    char *repaired = text_repair(text, size);
    ck_assert_str_eq(repaired, expected);
    free(repaired);
}

START_TEST(text_is_repaired)
{
    assert_repaired("h\xc3\xa9 \xf0\x9f\x98\x80", 8, "h\xc3\xa9 \xf0\x9f\x98\x80");
    assert_repaired("a\xc3", 2, "a\xef\xbf\xbd");
    assert_repaired("\xe2\x82z", 3, "\xef\xbf\xbd\xef\xbf\xbdz");
    assert_repaired("a\0b", 3,
                    "a\xef\xbf\xbd"
                    "b");
    assert_repaired("", 0, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("request");
    TCase *cases = tcase_create("request");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, defaults_come_from_the_model);
    tcase_add_test(cases, a_seed_is_drawn_when_none_is_given);
    tcase_add_test(cases, bad_choices_are_named);
    tcase_add_test(cases, bounds_themselves_are_allowed);
    tcase_add_test(cases, a_prompt_is_pinned_and_the_rest_is_drawn);
    tcase_add_test(cases, a_mask_model_starts_from_masks);
    tcase_add_test(cases, a_prompt_must_leave_room);
    tcase_add_test(cases, sized_gaps_make_the_length);
    tcase_add_test(cases, open_gaps_share_what_is_left);
    tcase_add_test(cases, bad_infills_are_named);
    tcase_add_test(cases, tokens_are_taken_as_they_are);
    tcase_add_test(cases, bad_tokens_are_named);
    tcase_add_test(cases, entropy_is_that_of_the_histogram);
    tcase_add_test(cases, text_is_repaired);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
