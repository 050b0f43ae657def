/* The Open Inference Protocol's edge: what a message asks for arrives as options, and nothing of a message is
 * ignored: a tensor, a parameter or a shape that has no meaning here is refused by its name. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "coordinator/services/infer_wire.h"

typedef Inference__ModelInferRequest infer_request; /* the generated names are long */
typedef Inference__ModelInferRequest__InferInputTensor input_tensor;
typedef Inference__ModelInferRequest__ParametersEntry entry;

/* A message of at most two inputs, one parameter and one output; `message` points into it. */
static struct {
    infer_request message;
    input_tensor tensors[2], *inputs[2];
    int64_t shapes[2][3];
    ProtobufCBinaryData elements[2];
    Inference__InferTensorContents contents[2];
    Inference__InferParameter value;
    entry parameter, *parameters[1];
    Inference__ModelInferRequest__InferRequestedOutputTensor output, *outputs[1];
} given;

static void set_up(void)
{
    inference__model_infer_request__init(&given.message);
    given.message.inputs = given.inputs;
    given.message.parameters = given.parameters;
    given.message.outputs = given.outputs;
}

static input_tensor *add_input(const char *name, const char *text)
{
    size_t i = given.message.n_inputs++;
    input_tensor *tensor = given.inputs[i] = &given.tensors[i];
    inference__model_infer_request__infer_input_tensor__init(tensor);
    inference__infer_tensor_contents__init(&given.contents[i]);
    tensor->name = (char *)name;
    tensor->datatype = (char *)"BYTES";
    tensor->shape = given.shapes[i];
    tensor->n_shape = 1;
    given.shapes[i][0] = given.shapes[i][1] = 1;
    given.elements[i] = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    given.contents[i].n_bytes_contents = 1;
    given.contents[i].bytes_contents = &given.elements[i];
    tensor->contents = &given.contents[i];
    return tensor;
}

static Inference__InferParameter *add_parameter(const char *key,
                                                Inference__InferParameter__ParameterChoiceCase type)
{
    inference__infer_parameter__init(&given.value);
    inference__model_infer_request__parameters_entry__init(&given.parameter);
    given.value.parameter_choice_case = type;
    given.parameter.key = (char *)key;
    given.parameter.value = &given.value;
    given.parameters[0] = &given.parameter;
    given.message.n_parameters = 1;
    return &given.value;
}

static struct infer_wire read_wire(void)
{
    struct infer_wire wire;
    struct error error = {0};
    ck_assert_msg(infer_wire_read(&given.message, &wire, &error) == STATUS_OK, "%s", error.text);
    return wire;
}

/* The same for what is no pointer: the rest is released. */
static struct infer_wire read_numbers(void)
{
    struct infer_wire wire = read_wire();
    infer_wire_release(&wire);
    return wire;
}

static void refuse_as(enum status status, const char *text)
{
    struct infer_wire wire;
    struct error error = {0};
    ck_assert_int_eq(infer_wire_read(&given.message, &wire, &error), status);
    ck_assert_msg(strstr(error.text, text) != NULL, "\"%s\" is not in \"%s\"", text, error.text);
    ck_assert(!wire.text && !wire.suffix); /* nothing is left to release */
}

#define INTEGER INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM
#define UNSIGNED INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_UINT64_PARAM
#define REAL INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_DOUBLE_PARAM
#define STRING INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM
#define BOOL INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM

/* ---- inputs ---- */

START_TEST(a_text_is_a_prompt)
{
    add_input("text_input", "Once");
    given.message.model_name = (char *)"books";
    given.message.model_version = (char *)"1";
    struct infer_wire wire = read_wire();
    ck_assert_str_eq(wire.options.model, "books");
    ck_assert_int_eq(wire.options.input, INPUT_PROMPT);
    ck_assert_str_eq(wire.options.prompt, "Once");
    ck_assert_int_eq(wire.options.terms.class, CLASS_NORMAL);
    ck_assert(isinf(wire.timeout_seconds) && !wire.frames && !wire.options.length_is_set);
    infer_wire_release(&wire);
}
END_TEST

START_TEST(a_suffix_makes_an_infill)
{
    add_input("suffix", "end");
    add_input("text_input", "Once")->n_shape = 2; /* [1, 1] */
    struct infer_wire wire = read_wire();
    ck_assert_int_eq(wire.options.input, INPUT_INFILL);
    ck_assert_uint_eq(wire.options.n_segments, 3);
    ck_assert_str_eq(wire.options.segments[0].text, "Once");
    ck_assert(!wire.options.segments[1].text && !wire.options.segments[1].gap);
    ck_assert_str_eq(wire.options.segments[2].text, "end");
    infer_wire_release(&wire);
}
END_TEST

START_TEST(an_empty_text_pins_nothing)
{
    add_input("suffix", "end");
    add_input("text_input", "");
    struct infer_wire wire = read_wire();
    ck_assert_uint_eq(wire.options.n_segments, 2);
    ck_assert(!wire.options.segments[0].text);
    infer_wire_release(&wire);
}
END_TEST

START_TEST(raw_contents_stand_for_the_contents)
{
    static uint8_t bytes[] = {4, 0, 0, 0, 'O', 'n', 'c', 'e'};
    ProtobufCBinaryData raw[2] = {{sizeof bytes, bytes}, {sizeof bytes, bytes}};
    add_input("text_input", "ignored")->contents = NULL;
    given.message.raw_input_contents = raw;
    given.message.n_raw_input_contents = 1;
    struct infer_wire wire = read_wire();
    ck_assert_str_eq(wire.options.prompt, "Once");
    infer_wire_release(&wire);
    raw[0].len = sizeof bytes - 1; /* the size says more than there is */
    refuse_as(STATUS_INVALID_ARGUMENT, "raw_input_contents[0]");
    raw[0].len = 3;
    refuse_as(STATUS_INVALID_ARGUMENT, "raw_input_contents[0]");
    raw[0] = (ProtobufCBinaryData){0};
    refuse_as(STATUS_INVALID_ARGUMENT, "raw_input_contents[0]");
    given.message.n_raw_input_contents = 2;
    refuse_as(STATUS_INVALID_ARGUMENT, "raw_input_contents: there are 2, and 1 inputs");
}
END_TEST

START_TEST(bad_inputs_are_refused_by_name)
{
    refuse_as(STATUS_INVALID_ARGUMENT, "text_input is missing");
    input_tensor *tensor = add_input("text_input", "Once");
    given.shapes[0][0] = 2;
    refuse_as(STATUS_INVALID_ARGUMENT, "inputs.text_input: the shape");
    given.shapes[0][0] = 1;
    tensor->n_shape = 0;
    refuse_as(STATUS_INVALID_ARGUMENT, "inputs.text_input: the shape");
    tensor->n_shape = 1;
    tensor->datatype = (char *)"FP32";
    refuse_as(STATUS_INVALID_ARGUMENT, "inputs.text_input: the datatype is not BYTES");
    tensor->datatype = (char *)"BYTES";
    tensor->contents->n_bytes_contents = 0;
    refuse_as(STATUS_INVALID_ARGUMENT, "inputs.text_input: bytes_contents");
    tensor->contents->n_bytes_contents = 1;
    given.elements[0] = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
    refuse_as(STATUS_INVALID_ARGUMENT, "inputs.text_input: has a byte of 0");
    given.elements[0] = (ProtobufCBinaryData){1, (uint8_t *)"a"};
    add_input("text_input", "again");
    refuse_as(STATUS_INVALID_ARGUMENT, "inputs.text_input: is there twice");
    given.inputs[1]->name = (char *)"prompt";
    refuse_as(STATUS_INVALID_ARGUMENT, "inputs.prompt: is not known");
    given.message.model_version = (char *)"2";
    refuse_as(STATUS_NOT_FOUND, "model_version: 2");
}
END_TEST

/* ---- parameters ---- */

START_TEST(parameters_arrive)
{
    add_input("text_input", "Once");
    add_parameter("length", INTEGER)->int64_param = 48;
    ck_assert_uint_eq(read_numbers().options.length, 48);
    add_parameter("steps", UNSIGNED)->uint64_param = 4;
    ck_assert_uint_eq(read_numbers().options.steps, 4);
    add_parameter("seed", UNSIGNED)->uint64_param = UINT64_MAX;
    ck_assert_uint_eq(read_numbers().options.seed, UINT64_MAX);
    add_parameter("temperature", REAL)->double_param = 0.5;
    ck_assert(read_numbers().options.temperature == 0.5f);
    add_parameter("solver", STRING)->string_param = (char *)solver_name(SOLVER_STRATIFIED);
    ck_assert_int_eq(read_numbers().options.solver, SOLVER_STRATIFIED);
    add_parameter("priority", UNSIGNED)->uint64_param = 1;
    ck_assert_int_eq(read_numbers().options.terms.class, CLASS_HIGH);
    add_parameter("timeout", INTEGER)->int64_param = 1500000;
    ck_assert(fabs(read_numbers().timeout_seconds - 1.5) < 1e-9);
    add_parameter("frames", BOOL)->bool_param = true;
    ck_assert(read_numbers().frames);
    add_parameter("plain_text", BOOL)->bool_param = true;
    ck_assert(read_numbers().options.plain_text);
}
END_TEST

START_TEST(bad_parameters_are_refused_by_name)
{
    add_input("text_input", "Once");
    add_parameter("length", INTEGER)->int64_param = -1;
    refuse_as(STATUS_INVALID_ARGUMENT, "parameters.length: is negative");
    given.value.int64_param = 1ll << 32;
    refuse_as(STATUS_INVALID_ARGUMENT, "parameters.length: 4294967296 is above 4294967295");
    add_parameter("steps", STRING)->string_param = (char *)"8";
    refuse_as(STATUS_INVALID_ARGUMENT, "parameters.steps: is neither");
    add_parameter("temperature", INTEGER);
    refuse_as(STATUS_INVALID_ARGUMENT, "parameters.temperature: is no double_param");
    add_parameter("solver", STRING)->string_param = (char *)"magic";
    refuse_as(STATUS_INVALID_ARGUMENT, "parameters.solver: there is no solver");
    add_parameter("priority", UNSIGNED)->uint64_param = 4;
    refuse_as(STATUS_INVALID_ARGUMENT, "parameters.priority: 4 is above 3");
    add_parameter("frames", INTEGER);
    refuse_as(STATUS_INVALID_ARGUMENT, "parameters.frames: is no bool_param");
    add_parameter("top_k", INTEGER);
    refuse_as(STATUS_INVALID_ARGUMENT, "parameters.top_k: is not known");
    given.parameter.value = NULL; /* a map's value may be missing on the wire */
    given.parameter.key = (char *)"seed";
    refuse_as(STATUS_INVALID_ARGUMENT, "parameters.seed: is neither");
}
END_TEST

/* ---- outputs ---- */

START_TEST(outputs_are_chosen_by_name)
{
    unsigned outputs = 0;
    struct error error = {0};
    ck_assert_int_eq(infer_wire_outputs(&given.message, &outputs, &error), STATUS_OK);
    ck_assert_uint_eq(outputs, INFER_ALL);
    inference__model_infer_request__infer_requested_output_tensor__init(&given.output);
    given.outputs[0] = &given.output;
    given.message.n_outputs = 1;
    given.output.name = (char *)"seed";
    ck_assert_int_eq(infer_wire_outputs(&given.message, &outputs, &error), STATUS_OK);
    ck_assert_uint_eq(outputs, INFER_SEED);
    given.output.name = (char *)"logits";
    ck_assert_int_eq(infer_wire_outputs(&given.message, &outputs, &error), STATUS_INVALID_ARGUMENT);
    ck_assert(strstr(error.text, "outputs.logits: is not known") != NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("infer_wire");
    TCase *tcase = tcase_create("infer_wire");
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, a_text_is_a_prompt);
    tcase_add_test(tcase, a_suffix_makes_an_infill);
    tcase_add_test(tcase, an_empty_text_pins_nothing);
    tcase_add_test(tcase, raw_contents_stand_for_the_contents);
    tcase_add_test(tcase, bad_inputs_are_refused_by_name);
    tcase_add_test(tcase, parameters_arrive);
    tcase_add_test(tcase, bad_parameters_are_refused_by_name);
    tcase_add_test(tcase, outputs_are_chosen_by_name);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed != 0;
}
