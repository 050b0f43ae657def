/* The gRPC edge: every field of a GenerateRequest arrives as the option of its name, what is not set stays
 * not set, and a value without a counterpart is refused by the field's name. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/services/generate_wire.h"

static struct generate_wire read_wire(const Millrace__V1__GenerateRequest *message)
{
    struct generate_wire wire;
    struct error error = {0};
    ck_assert_msg(generate_wire_read(message, &wire, &error) == STATUS_OK, "%s", error.text);
    return wire;
}

static void refuse(const Millrace__V1__GenerateRequest *message, const char *text)
{
    struct generate_wire wire;
    struct error error = {0};
    ck_assert_int_eq(generate_wire_read(message, &wire, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, text);
    ck_assert_ptr_null(wire.segments); /* nothing is left to release */
}

START_TEST(an_empty_message_asks_for_nothing)
{
    const Millrace__V1__GenerateRequest message = MILLRACE__V1__GENERATE_REQUEST__INIT;
    const struct generate_options options = read_wire(&message).options;
    ck_assert_str_eq(options.model, "");
    ck_assert_int_eq(options.input, INPUT_PROMPT);
    ck_assert_ptr_null(options.prompt);
    ck_assert(!options.length_is_set && !options.seed_is_set && !options.temperature_is_set);
    ck_assert_int_eq(options.steps_choice, STEPS_DEFAULT);
    ck_assert_int_eq(options.solver, SOLVER_CUMULATIVE);
    ck_assert_int_eq(options.terms.class, CLASS_NORMAL); /* though a zeroed class would be the highest */
}
END_TEST

START_TEST(numbers_arrive)
{
    Millrace__V1__GenerateRequest message = MILLRACE__V1__GENERATE_REQUEST__INIT;
    message.model = (char *)"books";
    message.length_choice_case = MILLRACE__V1__GENERATE_REQUEST__LENGTH_CHOICE_LENGTH;
    message.length = 0; /* set, though zero: request_create refuses it */
    message.steps_choice_case = MILLRACE__V1__GENERATE_REQUEST__STEPS_CHOICE_STEPS;
    message.steps = 7;
    message.seed_choice_case = MILLRACE__V1__GENERATE_REQUEST__SEED_CHOICE_SEED;
    message.seed = UINT64_MAX;
    message.temperature_choice_case = MILLRACE__V1__GENERATE_REQUEST__TEMPERATURE_CHOICE_TEMPERATURE;
    message.temperature = 0.5f;
    message.solver = MILLRACE__V1__SOLVER__STRATIFIED;
    message.revise = true;
    message.most_changes = 3;
    const struct generate_options options = read_wire(&message).options;
    ck_assert_str_eq(options.model, "books");
    ck_assert(options.length_is_set && options.length == 0);
    ck_assert(options.steps_choice == STEPS_FIXED && options.steps == 7);
    ck_assert(options.seed_is_set && options.seed == UINT64_MAX);
    ck_assert(options.temperature_is_set && options.temperature == 0.5f);
    ck_assert_int_eq(options.solver, SOLVER_STRATIFIED);
    ck_assert(options.revise && options.most_changes == 3);
}
END_TEST

START_TEST(automatic_steps_arrive)
{
    Millrace__V1__AutoSteps steps = MILLRACE__V1__AUTO_STEPS__INIT;
    Millrace__V1__GenerateRequest message = MILLRACE__V1__GENERATE_REQUEST__INIT;
    steps.at_least = 2;
    steps.at_most = 16;
    message.steps_choice_case = MILLRACE__V1__GENERATE_REQUEST__STEPS_CHOICE_AUTO_STEPS;
    message.auto_steps = &steps;
    const struct generate_options options = read_wire(&message).options;
    ck_assert_int_eq(options.steps_choice, STEPS_AUTO);
    ck_assert_uint_eq(options.steps_least, 2);
    ck_assert_uint_eq(options.steps_most, 16);
}
END_TEST

START_TEST(classes_are_named_as_on_the_wire)
{
    Millrace__V1__GenerateRequest message = MILLRACE__V1__GENERATE_REQUEST__INIT;
    message.priority = MILLRACE__V1__PRIORITY__HIGH;
    ck_assert_int_eq(read_wire(&message).options.terms.class, CLASS_HIGH);
    message.priority = MILLRACE__V1__PRIORITY__LOW;
    ck_assert_int_eq(read_wire(&message).options.terms.class, CLASS_LOW);
    message.priority = (Millrace__V1__Priority)3;
    refuse(&message, "priority: 3 is none of NORMAL, HIGH and LOW");
    message.priority = (Millrace__V1__Priority)-1;
    refuse(&message, "priority: -1 is none of NORMAL, HIGH and LOW");
}
END_TEST

START_TEST(solvers_that_are_none_are_refused)
{
    static const int none[] = {SOLVER_COUNT, -1};
    Millrace__V1__GenerateRequest message = MILLRACE__V1__GENERATE_REQUEST__INIT;
    for (int i = 0; i < 2; i++) {
        char text[80];
        snprintf(text, sizeof text, "solver: %d is none of the %d that there are", none[i], SOLVER_COUNT);
        message.solver = (Millrace__V1__Solver)none[i];
        refuse(&message, text);
    }
}
END_TEST

START_TEST(a_prompt_arrives)
{
    Millrace__V1__GenerateRequest message = MILLRACE__V1__GENERATE_REQUEST__INIT;
    message.input_case = MILLRACE__V1__GENERATE_REQUEST__INPUT_PROMPT;
    message.prompt = (char *)"Once";
    const struct generate_options options = read_wire(&message).options;
    ck_assert_int_eq(options.input, INPUT_PROMPT);
    ck_assert_str_eq(options.prompt, "Once");
}
END_TEST

START_TEST(an_infill_arrives)
{
    Millrace__V1__Segment segments[3], *pointers[] = {&segments[0], &segments[1], &segments[2]};
    Millrace__V1__Infill infill = MILLRACE__V1__INFILL__INIT;
    Millrace__V1__GenerateRequest message = MILLRACE__V1__GENERATE_REQUEST__INIT;
    for (int i = 0; i < 3; i++)
        millrace__v1__segment__init(&segments[i]);
    segments[0].kind_case = segments[2].kind_case = MILLRACE__V1__SEGMENT__KIND_TEXT;
    segments[0].text = (char *)"a";
    segments[2].text = (char *)"";
    segments[1].kind_case = MILLRACE__V1__SEGMENT__KIND_GAP;
    segments[1].gap = 5;
    infill.n_segments = 3;
    infill.segments = pointers;
    message.input_case = MILLRACE__V1__GENERATE_REQUEST__INPUT_INFILL;
    message.infill = &infill;
    struct generate_wire wire = read_wire(&message);
    ck_assert_int_eq(wire.options.input, INPUT_INFILL);
    ck_assert_uint_eq(wire.options.n_segments, 3);
    ck_assert_str_eq(wire.options.segments[0].text, "a");
    ck_assert_ptr_null(wire.options.segments[1].text);
    ck_assert_uint_eq(wire.options.segments[1].gap, 5);
    ck_assert_str_eq(wire.options.segments[2].text, ""); /* an empty text is no gap */
    generate_wire_release(&wire);
    segments[1].kind_case = MILLRACE__V1__SEGMENT__KIND__NOT_SET;
    refuse(&message, "infill.segments[1]: is neither text nor gap");
}
END_TEST

START_TEST(tokens_arrive)
{
    uint32_t ids[] = {4, 5};
    uint8_t editable[] = {1, 0, 1};
    Millrace__V1__TokenInput tokens = MILLRACE__V1__TOKEN_INPUT__INIT;
    Millrace__V1__GenerateRequest message = MILLRACE__V1__GENERATE_REQUEST__INIT;
    tokens.ids = ids;
    tokens.n_ids = 2;
    tokens.editable = (ProtobufCBinaryData){3, editable}; /* does not fit: request_create refuses it */
    message.input_case = MILLRACE__V1__GENERATE_REQUEST__INPUT_TOKENS;
    message.tokens = &tokens;
    const struct generate_options options = read_wire(&message).options;
    ck_assert_int_eq(options.input, INPUT_TOKENS);
    ck_assert_ptr_eq(options.ids, ids);
    ck_assert_uint_eq(options.n_ids, 2);
    ck_assert_ptr_eq(options.editable, editable);
    ck_assert_uint_eq(options.n_editable, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("generate_wire");
    TCase *cases = tcase_create("generate_wire");
    tcase_add_test(cases, an_empty_message_asks_for_nothing);
    tcase_add_test(cases, numbers_arrive);
    tcase_add_test(cases, automatic_steps_arrive);
    tcase_add_test(cases, classes_are_named_as_on_the_wire);
    tcase_add_test(cases, solvers_that_are_none_are_refused);
    tcase_add_test(cases, a_prompt_arrives);
    tcase_add_test(cases, an_infill_arrives);
    tcase_add_test(cases, tokens_arrive);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
