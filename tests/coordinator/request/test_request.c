/* From options to a request: every bad option is named, every good one is laid out as asked. And the text of
 * the end. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/philox.h"
#include "coordinator/request/render_text.h"
#include "coordinator/request/request.h"
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

static struct generate_options no_options(void)
{
    return (struct generate_options){.seed_is_set = true, .seed = 7, .terms.class = CLASS_NORMAL};
}

static void set_length(struct generate_options *options, uint32_t length)
{
    options->length_is_set = true;
    options->length = length;
}

static void set_steps(struct generate_options *options, uint32_t steps)
{
    options->steps_choice = STEPS_FIXED;
    options->steps = steps;
}

static void set_auto_steps(struct generate_options *options, uint32_t least, uint32_t most)
{
    options->steps_choice = STEPS_AUTO;
    options->steps_least = least;
    options->steps_most = most;
}

static void set_temperature(struct generate_options *options, float temperature)
{
    options->temperature_is_set = true;
    options->temperature = temperature;
}

static struct request *create(const struct generate_options *options)
{
    struct request *request = NULL;
    struct error error = {0};
    ck_assert_msg(request_create(options, &model, &request, &error) == STATUS_OK, "%s", error.text);
    ck_assert_int_eq(request->n_runs, 1);
    return request;
}

/* The sentence must hold all of `words`, separated by '|'. */
static void refuse(const struct generate_options *options, enum status status, const char *words)
{
    struct request *request = NULL;
    struct error error = {0};
    char copy[256], *rest = copy, *word;
    ck_assert_int_eq(request_create(options, &model, &request, &error), status);
    ck_assert_ptr_null(request); /* outputs are set only on success */
    snprintf(copy, sizeof copy, "%s", words);
    while ((word = strsep(&rest, "|")))
        ck_assert_msg(strstr(error.text, word) != NULL, "no \"%s\" in: %s", word, error.text);
}

/* ---- choices ---- */

START_TEST(defaults_come_from_the_model)
{
    struct generate_options options = no_options();
    struct request *request = create(&options);
    ck_assert_int_eq(request->runs->length, model.config.trained_length);
    ck_assert_int_eq(request->runs->steps, model.config.default_steps);
    ck_assert_int_eq(request->runs->n_pinned, 0);
    ck_assert(request->choices.temperature == 1.0f);
    ck_assert_uint_eq(request->runs->seed, 7);
    request_free(request);
}
END_TEST

START_TEST(a_seed_is_drawn_when_none_is_given)
{
    struct generate_options options = no_options();
    options.seed_is_set = false;
    struct request *one = create(&options), *other = create(&options);
    ck_assert_uint_ne(one->choices.seed, other->choices.seed);
    request_free(one);
    request_free(other);
}
END_TEST

START_TEST(bad_choices_are_named)
{
    static const float temperatures[] = {NAN, INFINITY, -INFINITY, 0, -1, 0.009f, 100.1f};
    struct generate_options options = no_options();
    set_length(&options, 0);
    refuse(&options, STATUS_INVALID_ARGUMENT, "length|0|1 to 1024");
    set_length(&options, 1025);
    refuse(&options, STATUS_INVALID_ARGUMENT, "length|1025|1 to 1024");
    set_length(&options, UINT32_MAX);
    refuse(&options, STATUS_INVALID_ARGUMENT, "length|4294967295|1 to 1024");
    options = no_options();
    set_steps(&options, 0);
    refuse(&options, STATUS_INVALID_ARGUMENT, "steps|0|1 to 1024");
    set_steps(&options, 1025);
    refuse(&options, STATUS_INVALID_ARGUMENT, "steps|1025|1 to 1024");
    options = no_options();
    for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++) {
        set_temperature(&options, temperatures[i]);
        refuse(&options, STATUS_INVALID_ARGUMENT, "temperature|0.01 to 100");
    }
    options = no_options();
    options.model = "gpt-9";
    refuse(&options, STATUS_NOT_FOUND, "model|gpt-9|books-mini");
}
END_TEST

START_TEST(automatic_steps_are_a_range)
{
    struct generate_options options = no_options();
    set_auto_steps(&options, 0, 0);
    struct request *request = create(&options);
    ck_assert_int_eq(request->choices.steps_least, 1);
    ck_assert_int_eq(request->choices.steps_most, model.config.default_steps);
    request_free(request);
    set_auto_steps(&options, 1000, 0); /* more than the default: that gives way */
    request = create(&options);
    ck_assert_int_eq(request->choices.steps_most, 1000);
    request_free(request);
    set_auto_steps(&options, 9, 8);
    refuse(&options, STATUS_INVALID_ARGUMENT, "auto_steps.at_least|9|8");
    options.steps_least = 1025;
    options.steps_most = 0;
    refuse(&options, STATUS_INVALID_ARGUMENT, "auto_steps.at_least: 1025 is not from 1 to 1024");
    set_auto_steps(&options, 1, 1025);
    refuse(&options, STATUS_INVALID_ARGUMENT, "auto_steps.at_most|1025|1 to 1024");
}
END_TEST

START_TEST(a_request_has_its_run_and_terms)
{
    struct generate_options options = no_options();
    options.solver = SOLVER_STRATIFIED;
    options.terms.class = CLASS_LOW;
    snprintf(options.terms.caller, sizeof options.terms.caller, "alice");
    options.terms.deadline_at = 12;
    struct request *request = create(&options);
    const struct run *run = request->runs;
    ck_assert_ptr_eq(run->request, request);
    ck_assert_int_eq(run->class, CLASS_LOW);
    ck_assert_ptr_nonnull(run->until_jump); /* the stratified solver's state */
    ck_assert_str_eq(request->terms.caller, "alice");
    ck_assert_double_eq(request->terms.deadline_at, 12);
    ck_assert_int_eq(request_positions(request), run->length);
    ck_assert_ptr_eq(request->rule->answer(request, run), run); /* its text is the answer */
    request_set_steps(request, 3);
    ck_assert_uint_eq(run_steps_left(run), 3);
    request_free(request);
}
END_TEST

START_TEST(bounds_themselves_are_allowed)
{
    struct generate_options options = no_options();
    options.model = model.config.name;
    set_length(&options, 1024);
    set_steps(&options, 1024);
    set_temperature(&options, 100);
    struct request *request = create(&options);
    ck_assert_int_eq(request->runs->length, 1024);
    request_free(request);
    set_length(&options, 1);
    set_steps(&options, 1);
    set_temperature(&options, 0.01f);
    request = create(&options);
    ck_assert_int_eq(request->runs->length, 1);
    request_free(request);
}
END_TEST

/* ---- prompts ---- */

START_TEST(a_prompt_is_pinned_and_the_rest_is_drawn)
{
    int32_t *ids;
    size_t n;
    struct generate_options options = no_options();
    options.prompt = "Once upon a time";
    ck_assert_int_eq(
        tokenizer_encode(model.tokenizer, options.prompt, strlen(options.prompt), &ids, &n, NULL), STATUS_OK);
    struct request *request = create(&options);
    ck_assert_int_eq(request->runs->n_pinned, (int)n);
    for (int i = 0; i < request->runs->length; i++) {
        bool pinned = (size_t)i < n;
        double u = philox_uniform(7, 0, (uint32_t)i, PHILOX_INITIAL);
        ck_assert_int_eq(request->runs->editable[i], !pinned);
        ck_assert_int_eq(request->runs->ids[i], pinned ? ids[i] : (int32_t)(u * model.config.vocabulary));
    }
    free(ids);
    request_free(request);
}
END_TEST

START_TEST(a_mask_model_starts_from_masks)
{
    struct generate_options options = no_options();
    options.prompt = "Once";
    model.config.source = SOURCE_MASK;
    model.config.mask_token = model.config.vocabulary;
    model.config.n_ids = model.config.vocabulary + 1;
    struct request *request = create(&options);
    for (int i = 0; i < request->runs->length; i++)
        ck_assert(!request->runs->editable[i] == (request->runs->ids[i] < model.config.vocabulary));
    request_free(request);
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
    struct generate_options options = no_options();
    char *text = long_text(1030);
    options.prompt = text;
    refuse(&options, STATUS_INVALID_ARGUMENT, "prompt|tokens|1024");
    text[80] = '\0';
    set_length(&options, 8);
    refuse(&options, STATUS_INVALID_ARGUMENT, "prompt|nothing to write|length of 8");
    text[80] = 'x';
    text[2 * 150] = '\0'; /* more than the trained length: room is made */
    options.length_is_set = false;
    struct request *request = create(&options);
    ck_assert_int_eq(request->runs->length, request->runs->n_pinned + model.config.trained_length);
    request_free(request);
    free(text);
}
END_TEST

/* ---- infill ---- */

enum { MAX_SEGMENTS = 8 };

/* "text", or a gap of so many: "#12". Ends with NULL. */
static void set_infill(struct generate_options *options, struct generate_segment *segments,
                       const char *const *parts)
{
    options->input = INPUT_INFILL;
    options->segments = segments;
    options->n_segments = 0;
    for (size_t i = 0; parts[i]; i++) {
        segments[i] = parts[i][0] == '#'
                          ? (struct generate_segment){.gap = (uint32_t)strtoul(parts[i] + 1, NULL, 10)}
                          : (struct generate_segment){.text = parts[i]};
        options->n_segments = i + 1;
    }
}

static int count_editable(const struct request *request, int from, int to)
{
    int n = 0;
    for (int i = from; i < to; i++)
        n += request->runs->editable[i];
    return n;
}

START_TEST(sized_gaps_make_the_length)
{
    struct generate_segment segments[MAX_SEGMENTS];
    struct generate_options options = no_options();
    set_infill(&options, segments, (const char *const[]){"#5", "Once upon", "#7", NULL});
    struct request *request = create(&options);
    ck_assert_int_eq(request->runs->length, 12 + request->runs->n_pinned);
    ck_assert_int_eq(count_editable(request, 0, 5), 5);
    ck_assert_int_eq(count_editable(request, 5, request->runs->length - 7), 0);
    ck_assert_int_eq(count_editable(request, request->runs->length - 7, request->runs->length), 7);
    request_free(request);
    set_length(&options, 100);
    refuse(&options, STATUS_INVALID_ARGUMENT, "infill|add up to|length is 100");
}
END_TEST

START_TEST(open_gaps_share_what_is_left)
{
    struct generate_segment segments[MAX_SEGMENTS];
    struct generate_options options = no_options();
    set_infill(&options, segments, (const char *const[]){"#0", "Once", "#4", "#0", "upon", "#0", NULL});
    set_length(&options, 100);
    struct request *request = create(&options);
    int open = 100 - 4 - request->runs->n_pinned;
    int first = 0;
    while (request->runs->editable[first])
        first++;
    ck_assert_int_eq(first, open / 3 + (open % 3 > 0)); /* the first ones get what does not divide */
    ck_assert_int_eq(count_editable(request, 0, 100), open + 4);
    request_free(request);
    set_length(&options, 8);
    refuse(&options, STATUS_INVALID_ARGUMENT, "infill|nothing to write|length of 8");
}
END_TEST

/* A space at the end of pinned text is the beginning of the next word: the gap writes it. Other text keeps
 * its own. */
START_TEST(gaps_get_the_spaces_before_them)
{
    struct generate_segment segments[MAX_SEGMENTS];
    struct generate_options options = no_options();
    options.prompt = "Once upon";
    struct request *bare = create(&options);
    options.prompt = "Once upon  ";
    struct request *spaced = create(&options);
    ck_assert_int_eq(spaced->runs->n_pinned, bare->runs->n_pinned);
    ck_assert_mem_eq(spaced->runs->ids, bare->runs->ids, (size_t)bare->runs->n_pinned * sizeof(int32_t));
    request_free(spaced);
    request_free(bare);
    options.prompt = NULL;
    set_infill(&options, segments, (const char *const[]){"Once", "#3", " upon", "#1", NULL});
    bare = create(&options);
    set_infill(&options, segments, (const char *const[]){"Once ", "#3", " upon ", "#1", NULL});
    spaced = create(&options);
    ck_assert_int_eq(spaced->runs->length, bare->runs->length);
    request_free(spaced);
    set_infill(&options, segments, (const char *const[]){"Once", "#3", " upon", "#1", " ", NULL});
    spaced = create(&options);
    ck_assert_int_eq(spaced->runs->length, bare->runs->length + 1);
    request_free(spaced);
    request_free(bare);
    set_infill(&options, segments, (const char *const[]){"#0", "#0", "#0", NULL});
    set_length(&options, 2);
    refuse(&options, STATUS_INVALID_ARGUMENT, "3 gaps want a position each|length of 2");
}
END_TEST

/* Text that is not trusted cannot write special tokens; the tokens that its spelling has instead are more. */
START_TEST(plain_text_has_no_special_tokens)
{
    struct generate_options options = no_options();
    options.prompt = "<|endoftext|>";
    struct request *special = create(&options);
    ck_assert_int_eq(special->runs->n_pinned, 1);
    options.plain_text = true;
    struct request *plain = create(&options);
    ck_assert_int_gt(plain->runs->n_pinned, 1);
    request_free(special);
    request_free(plain);
}
END_TEST

START_TEST(bad_infills_are_named)
{
    struct generate_segment segments[MAX_SEGMENTS];
    struct generate_options options = no_options();
    set_infill(&options, segments, (const char *const[]){"only", "text", NULL});
    refuse(&options, STATUS_INVALID_ARGUMENT, "infill|none|gap");
    set_infill(&options, segments, (const char *const[]){NULL});
    refuse(&options, STATUS_INVALID_ARGUMENT, "infill|gap");
    set_infill(&options, segments, (const char *const[]){"a", "#1000", "#1000", NULL});
    refuse(&options, STATUS_INVALID_ARGUMENT, "infill|add up to|1024");
    set_infill(&options, segments, (const char *const[]){"a", "#4294967295", "#4294967295", NULL});
    refuse(&options, STATUS_INVALID_ARGUMENT, "infill.segments[1]|4294967295|1024");
    set_infill(&options, segments, (const char *const[]){"#3", "bad \xff", NULL});
    refuse(&options, STATUS_INVALID_ARGUMENT, "infill.segments[1]");
}
END_TEST

/* ---- tokens ---- */

static void set_tokens(struct generate_options *options, const uint32_t *ids, size_t n,
                       const uint8_t *editable, size_t n_editable)
{
    options->input = INPUT_TOKENS;
    options->ids = ids;
    options->n_ids = n;
    options->editable = editable;
    options->n_editable = n_editable;
}

START_TEST(tokens_are_taken_as_they_are)
{
    uint32_t ids[] = {5, 99999, 2047};
    uint8_t editable[] = {0, 1, 0};
    struct generate_options options = no_options();
    set_tokens(&options, ids, 3, editable, 3);
    struct request *request = create(&options);
    ck_assert_int_eq(request->runs->length, 3);
    ck_assert_int_eq(request->runs->n_pinned, 2);
    ck_assert_int_eq(request->runs->ids[0], 5);
    ck_assert_int_lt(request->runs->ids[1], 2048); /* the value at an editable position is ignored */
    ck_assert_int_eq(request->runs->ids[2], 2047);
    request_free(request);
}
END_TEST

START_TEST(bad_tokens_are_named)
{
    static uint32_t ids[1025];
    static uint8_t editable[1025];
    struct generate_options options = no_options();
    set_tokens(&options, ids, 0, editable, 0);
    refuse(&options, STATUS_INVALID_ARGUMENT, "tokens.ids|0 of them|1 to 1024");
    set_tokens(&options, ids, 1025, editable, 1025);
    refuse(&options, STATUS_INVALID_ARGUMENT, "tokens.ids|1025|1 to 1024");
    set_tokens(&options, ids, 4, editable, 3);
    refuse(&options, STATUS_INVALID_ARGUMENT, "tokens.editable|3 bytes|4 ids");
    set_tokens(&options, ids, 4, editable, 4);
    refuse(&options, STATUS_INVALID_ARGUMENT, "tokens.editable|all 4|pinned");
    editable[1] = 2;
    refuse(&options, STATUS_INVALID_ARGUMENT, "tokens.editable[1]|2|0 nor 1");
    editable[1] = 1;
    ids[3] = 2048;
    refuse(&options, STATUS_INVALID_ARGUMENT, "tokens.ids[3]|2048|vocabulary");
    ids[3] = 0;
    set_length(&options, 5);
    refuse(&options, STATUS_INVALID_ARGUMENT, "length|5|4");
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
    tcase_add_test(cases, automatic_steps_are_a_range);
    tcase_add_test(cases, a_request_has_its_run_and_terms);
    tcase_add_test(cases, bounds_themselves_are_allowed);
    tcase_add_test(cases, a_prompt_is_pinned_and_the_rest_is_drawn);
    tcase_add_test(cases, a_mask_model_starts_from_masks);
    tcase_add_test(cases, a_prompt_must_leave_room);
    tcase_add_test(cases, sized_gaps_make_the_length);
    tcase_add_test(cases, open_gaps_share_what_is_left);
    tcase_add_test(cases, gaps_get_the_spaces_before_them);
    tcase_add_test(cases, plain_text_has_no_special_tokens);
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
