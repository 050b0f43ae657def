/* A message of the wire, seen as the engine's input. */
#include <check.h>
#include <string.h>

#include "proto/replica.pb-c.h"
#include "worker/engine/submission.h"

typedef Millrace__Replica__V1__Submit submit_message;

enum { LENGTH = 3 };

static uint32_t ids[LENGTH] = {5, 6, 7};
static uint8_t editable[LENGTH] = {0, 1, 1};
static float until_jump[LENGTH] = {1, 2, 3};

static submit_message make(void)
{
    submit_message submit = MILLRACE__REPLICA__V1__SUBMIT__INIT;
    submit.sequence = 1ull << 60 | 9;
    submit.ids = ids;
    submit.n_ids = LENGTH;
    submit.editable = (ProtobufCBinaryData){LENGTH, editable};
    submit.step = 2;
    submit.steps = 8;
    submit.seed = UINT64_MAX;
    submit.temperature = 0.5f;
    submit.solver = 3;
    submit.revise = true;
    submit.most_changes = 4;
    return submit;
}

START_TEST(every_field_is_seen)
{
    struct error error;
    struct sequence_input input;
    submit_message submit = make();
    submit.until_jump = until_jump;
    submit.n_until_jump = LENGTH;
    ck_assert_int_eq(submission_read(&submit, &input, &error), STATUS_OK);
    ck_assert_uint_eq(input.number, 1ull << 60 | 9);
    ck_assert_ptr_eq(input.ids, ids); /* borrowed, not copied */
    ck_assert_ptr_eq(input.editable, editable);
    ck_assert_ptr_eq(input.until_jump, until_jump);
    ck_assert_uint_eq(input.length, LENGTH);
    ck_assert_uint_eq(input.step, 2);
    ck_assert_uint_eq(input.n_steps, 8);
    ck_assert_uint_eq(input.seed, UINT64_MAX);
    ck_assert_float_eq(input.temperature, 0.5f);
    ck_assert_int_eq(input.solver, 3);
    ck_assert(input.revise);
    ck_assert_uint_eq(input.most_changes, 4);
}
END_TEST

START_TEST(no_state_of_a_solver_is_none)
{
    struct error error;
    struct sequence_input input;
    submit_message submit = make();
    submit.until_jump = until_jump; /* protobuf-c leaves what it likes where the list is empty */
    ck_assert_int_eq(submission_read(&submit, &input, &error), STATUS_OK);
    ck_assert_ptr_null(input.until_jump);
}
END_TEST

/* What is read later goes by `length` alone. */
START_TEST(lists_of_other_lengths_are_refused)
{
    struct error error;
    struct sequence_input input;
    submit_message submit = make();
    submit.editable.len = LENGTH - 1;
    ck_assert_int_eq(submission_read(&submit, &input, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.text, "editable: has 2 bytes for 3 ids"));
    submit = make();
    submit.until_jump = until_jump;
    submit.n_until_jump = LENGTH + 1;
    ck_assert_int_eq(submission_read(&submit, &input, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.text, "until_jump: has 4 values for 3 ids"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("submission");
    TCase *tests = tcase_create("submission");
    tcase_add_test(tests, every_field_is_seen);
    tcase_add_test(tests, no_state_of_a_solver_is_none);
    tcase_add_test(tests, lists_of_other_lengths_are_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
