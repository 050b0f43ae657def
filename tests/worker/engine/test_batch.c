/* The batch on rank 0: joining and leaving, exact thinning, and that a sequence's text depends on nothing but
 * itself. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/philox.h"
#include "worker/engine/batch.h"

enum { LENGTH = 24, N_IDS = 50 };

static struct model_config config_of(enum source source)
{
    struct model_config config = {.vocabulary = N_IDS,
                                  .n_ids = N_IDS + (source == SOURCE_MASK),
                                  .mask_token = source == SOURCE_MASK ? N_IDS : -1,
                                  .source = source,
                                  .hidden = 8,
                                  .scheduler_exponent = 1,
                                  .max_length = LENGTH,
                                  .max_steps = 1024};
    return config;
}

static const struct plan_limits limits = {.max_sequences = 3, .max_rows = 2 * LENGTH};

struct fixture {
    struct batch *batch;
    struct plan plan;
    struct sampled sampled[2 * LENGTH];
    struct sequence_report reports[3];
};

static struct fixture open_fixture(enum source source)
{
    struct fixture fixture = {0};
    struct error error;
    struct model_config config = config_of(source);
    ck_assert_int_eq(batch_create(&config, limits, &fixture.batch, &error), STATUS_OK);
    ck_assert_int_eq(plan_init(&fixture.plan, limits, &error), STATUS_OK);
    return fixture;
}

static void close_fixture(struct fixture *fixture)
{
    batch_free(fixture->batch);
    plan_release(&fixture->plan);
}

static uint32_t some_ids[LENGTH];
static uint8_t all_editable[LENGTH];

static struct sequence_input input_of(uint64_t number, uint32_t n_steps, size_t length)
{
    for (uint32_t i = 0; i < LENGTH; i++) {
        some_ids[i] = i % N_IDS;
        all_editable[i] = 1;
    }
    struct sequence_input input = {.number = number,
                                   .ids = some_ids,
                                   .editable = all_editable,
                                   .length = length,
                                   .n_steps = n_steps,
                                   .seed = 7 * number + 1,
                                   .temperature = 1};
    return input;
}

/* A stand-in for the model: a needed row jumps when its uniform says so at half the bound, to a token made of
 * its draw. */
static void pretend_to_sample(struct fixture *fixture)
{
    const struct plan *plan = &fixture->plan;
    for (int s = 0; s < plan->header->n_sequences; s++) {
        const struct plan_sequence *sequence = &plan->sequences[s];
        for (int i = sequence->first_needed; i < sequence->end_needed; i++) {
            bool jumps = sequence->at.bound < 0 || plan->u_jump[i] < -expm1(-sequence->at.bound / 2);
            fixture->sampled[i] = (struct sampled){.token = jumps ? (int32_t)(plan->u_draw[i] * N_IDS) : -1,
                                                   .log_probability = -1};
        }
    }
}

static int step(struct fixture *fixture)
{
    batch_plan(fixture->batch, &fixture->plan);
    pretend_to_sample(fixture);
    return batch_apply(fixture->batch, &fixture->plan, fixture->sampled, fixture->reports);
}

START_TEST(bad_sequences_are_refused_by_name)
{
    static const struct {
        const char *named;
        size_t length;
        uint32_t n_steps, step;
        float temperature;
        uint32_t first_id;
    } cases[] = {
        {"length", 0, 4, 0, 1, 0},       {"length", LENGTH + 1, 4, 0, 1, 0},
        {"steps", 8, 0, 0, 1, 0},        {"steps", 8, 1025, 0, 1, 0},
        {"step", 8, 4, 4, 1, 0},         {"temperature", 8, 4, 0, 0, 0},
        {"temperature", 8, 4, 0, -1, 0}, {"temperature", 8, 4, 0, NAN, 0},
        {"ids[0]", 8, 4, 0, 1, N_IDS},   {"temperature", 8, 4, 0, 1e-45f, 0},
    };
    struct fixture fixture = open_fixture(SOURCE_UNIFORM);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error;
        struct sequence_input input = input_of(1, cases[i].n_steps, cases[i].length);
        input.step = cases[i].step;
        input.temperature = cases[i].temperature;
        some_ids[0] = cases[i].first_id;
        ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_INVALID_ARGUMENT);
        ck_assert_msg(!strncmp(error.text, cases[i].named, strlen(cases[i].named)), "%s", error.text);
    }
    ck_assert_int_eq(batch_size(fixture.batch), 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_full_batch_says_so)
{
    struct error error;
    struct fixture fixture = open_fixture(SOURCE_UNIFORM);
    struct sequence_input input = input_of(1, 4, LENGTH);
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_RESOURCE_EXHAUSTED); /* no rows */
    batch_clear(fixture.batch);
    input.length = 2;
    for (int i = 0; i < limits.max_sequences; i++)
        ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_RESOURCE_EXHAUSTED); /* no place */
    close_fixture(&fixture);
}
END_TEST

START_TEST(only_rows_that_can_jump_are_needed)
{
    struct error error;
    struct fixture fixture = open_fixture(SOURCE_UNIFORM);
    struct sequence_input input = input_of(3, 8, LENGTH);
    all_editable[2] = 0;
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    for (uint32_t k = 0; k < 8; k++) {
        double limit = 1.0 / (8 - k); /* h / (1 - t) */
        batch_plan(fixture.batch, &fixture.plan);
        int n = 0;
        for (uint32_t i = 0; i < LENGTH; i++) {
            double u = philox_uniform(input.seed, k, i, PHILOX_JUMP);
            if (i == 2 || (k < 7 && u >= limit))
                continue;
            ck_assert_int_eq(fixture.plan.needed[n], (int)i);
            ck_assert_double_eq(fixture.plan.u_draw[n], philox_uniform(input.seed, k, i, PHILOX_DRAW));
            n++;
        }
        ck_assert_int_eq(fixture.plan.header->n_needed, n);
        pretend_to_sample(&fixture);
        ck_assert_int_eq(batch_apply(fixture.batch, &fixture.plan, fixture.sampled, fixture.reports), 1);
        ck_assert_int_eq(fixture.reports[0].done, k == 7);
    }
    ck_assert_int_eq(fixture.reports[0].n_scored, LENGTH - 1);
    ck_assert_double_eq(fixture.reports[0].log_probability, -(LENGTH - 1));
    ck_assert_int_eq(batch_size(fixture.batch), 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_mask_source_writes_once_at_the_end)
{
    struct error error;
    struct fixture fixture = open_fixture(SOURCE_MASK);
    struct sequence_input input = input_of(3, 1, LENGTH);
    some_ids[5] = some_ids[9] = N_IDS;
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    batch_plan(fixture.batch, &fixture.plan);
    ck_assert_int_eq(fixture.plan.header->n_needed, 2);
    ck_assert_int_eq(fixture.plan.needed[0], 5);
    ck_assert_int_eq(fixture.plan.needed[1], 9);
    ck_assert_int_ne(fixture.plan.sequences[0].forbid_mask, 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(pinned_sequences_cost_nothing_and_end)
{
    struct error error;
    struct fixture fixture = open_fixture(SOURCE_UNIFORM);
    struct sequence_input input = input_of(3, 2, LENGTH);
    memset(all_editable, 0, sizeof all_editable);
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    ck_assert_int_eq(step(&fixture), 1);
    ck_assert_int_eq(fixture.plan.header->n_rows, 0);
    ck_assert_int_eq(step(&fixture), 1);
    ck_assert(fixture.reports[0].done);
    ck_assert_int_eq(batch_size(fixture.batch), 0);
    close_fixture(&fixture);
}
END_TEST

/* Runs sequence 5 to its end, beside others that come and go, from `ids` after `first_step` steps; its final
 * text. */
static void run_beside(const uint32_t *from, uint32_t first_step, int company, int32_t *final)
{
    struct error error;
    struct fixture fixture = open_fixture(SOURCE_UNIFORM);
    struct sequence_input other = input_of(9, 3, LENGTH / 2);
    if (company > 0)
        batch_add(fixture.batch, &other, &error);
    struct sequence_input input = input_of(5, 6, LENGTH);
    memcpy(some_ids, from, sizeof some_ids);
    input.step = first_step;
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    for (int i = 0; i < LENGTH; i++)
        final[i] = (int32_t)from[i];
    for (bool done = false; !done;) {
        int n_reports = step(&fixture);
        for (int r = 0; r < n_reports; r++) {
            const struct sequence_report *report = &fixture.reports[r];
            if (report->number != 5)
                continue;
            done = report->done;
            for (size_t c = 0; c < report->n_changed; c++)
                final[report->positions[c]] = (int32_t)report->ids[c];
        }
        if (company > 1 && !done)
            batch_remove(fixture.batch, 9);
    }
    close_fixture(&fixture);
}

START_TEST(text_does_not_depend_on_company_or_resumption)
{
    uint32_t start[LENGTH], middle[LENGTH];
    int32_t alone[LENGTH], beside[LENGTH], shrinking[LENGTH], resumed[LENGTH];
    for (uint32_t i = 0; i < LENGTH; i++)
        start[i] = i % N_IDS;
    run_beside(start, 0, 0, alone);
    run_beside(start, 0, 1, beside);
    run_beside(start, 0, 2, shrinking);
    ck_assert_mem_eq(alone, beside, sizeof alone);
    ck_assert_mem_eq(alone, shrinking, sizeof alone);

    struct error error;
    struct fixture fixture = open_fixture(SOURCE_UNIFORM);
    struct sequence_input input = input_of(5, 6, LENGTH);
    memcpy(middle, start, sizeof middle);
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    for (int k = 0; k < 3; k++) {
        step(&fixture);
        for (size_t c = 0; c < fixture.reports[0].n_changed; c++)
            middle[fixture.reports[0].positions[c]] = fixture.reports[0].ids[c];
    }
    close_fixture(&fixture);
    run_beside(middle, 3, 1, resumed);
    ck_assert_mem_eq(alone, resumed, sizeof alone);
}
END_TEST

START_TEST(removal_keeps_the_others)
{
    struct error error;
    struct fixture fixture = open_fixture(SOURCE_UNIFORM);
    for (uint64_t number = 1; number <= 3; number++) {
        struct sequence_input input = input_of(number, 4, 4 * number);
        ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    }
    ck_assert(batch_remove(fixture.batch, 2));
    ck_assert(!batch_remove(fixture.batch, 2));
    ck_assert_int_eq(step(&fixture), 2);
    ck_assert_int_eq(fixture.reports[0].number, 1);
    ck_assert_int_eq(fixture.reports[1].number, 3);
    struct sequence_input input = input_of(4, 4, LENGTH); /* the freed place and its rows serve again */
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    ck_assert_int_eq(step(&fixture), 3);
    close_fixture(&fixture);
}
END_TEST

static void add_of(struct batch *batch, uint64_t number, uint32_t n_steps, size_t length)
{
    struct error error;
    struct sequence_input input = input_of(number, n_steps, length);
    ck_assert_msg(batch_add(batch, &input, &error) == STATUS_OK, "%s", error.text);
}

/* Two plans at a time: what has its last step in the first makes room in the second, before it is over. */
START_TEST(a_place_is_free_when_the_last_step_is_planned)
{
    struct error error;
    struct fixture fixture = open_fixture(SOURCE_UNIFORM);
    struct plan ahead;
    ck_assert_int_eq(plan_init(&ahead, limits, &error), STATUS_OK);
    ahead.slot = 1;
    add_of(fixture.batch, 1, 1, LENGTH);
    add_of(fixture.batch, 2, 2, LENGTH);
    ck_assert(!batch_has_room(fixture.batch, 1));
    batch_plan(fixture.batch, &fixture.plan);
    pretend_to_sample(&fixture);
    ck_assert(batch_has_room(fixture.batch, LENGTH));
    add_of(fixture.batch, 3, 1, LENGTH);
    ck_assert(!batch_has_room(fixture.batch, 1));
    ck_assert(batch_can_plan(fixture.batch));
    batch_plan(fixture.batch, &ahead); /* the last step of 2, and of 3 */
    ck_assert_int_eq(ahead.header->n_sequences, 2);
    ck_assert_int_eq(ahead.header->n_rows, limits.max_rows);
    add_of(fixture.batch, 4, 9, LENGTH);
    add_of(fixture.batch, 5, 9, LENGTH);
    ck_assert(!batch_has_room(fixture.batch, 1));
    ck_assert_int_eq(batch_size(fixture.batch), 5);
    ck_assert(batch_remove(fixture.batch, 3)); /* gives back no place: it has none */
    ck_assert(!batch_has_room(fixture.batch, 1));

    ck_assert_int_eq(batch_apply(fixture.batch, &fixture.plan, fixture.sampled, fixture.reports), 2);
    ck_assert(fixture.reports[0].number == 1 && fixture.reports[0].done);
    ck_assert(fixture.reports[1].number == 2 && !fixture.reports[1].done);
    ck_assert_int_eq(fixture.reports[0].batch_tokens, limits.max_rows);
    ck_assert(!batch_has_room(fixture.batch, 1));
    ck_assert_int_eq(batch_apply(fixture.batch, &ahead, fixture.sampled, fixture.reports), 1);
    ck_assert(fixture.reports[0].number == 2 && fixture.reports[0].done);
    ck_assert_int_eq(batch_size(fixture.batch), 2);
    ck_assert(!batch_has_room(fixture.batch, 1));
    plan_release(&ahead);
    close_fixture(&fixture);
}
END_TEST

static uint32_t pick(uint32_t turn, uint32_t what, uint32_t n)
{
    return (uint32_t)(philox_uniform(5, turn, what, PHILOX_INITIAL) * n);
}

/* What has steps left to plan, by a count of its own. */
struct tally {
    uint32_t left[400];
    size_t length[400];
};

static void check_plan(struct tally *tally, uint64_t n_numbers, const struct plan *plan,
                       const struct batch *batch)
{
    size_t n_rows = 0, n = 0;
    for (uint64_t number = 0; number < n_numbers; number++) {
        n_rows += tally->left[number] ? tally->length[number] : 0;
        n += tally->left[number] > 0;
        tally->left[number] -= tally->left[number] > 0;
    }
    ck_assert_int_le((int)n, limits.max_sequences);
    ck_assert_int_le((int)n_rows, limits.max_rows);
    ck_assert_int_le(plan->header->n_sequences, (int)n);
    ck_assert_int_le(plan->header->n_rows, (int)n_rows);
    size_t rows_left = 0, places_left = 0;
    for (uint64_t number = 0; number < n_numbers; number++) {
        rows_left += tally->left[number] ? tally->length[number] : 0;
        places_left += tally->left[number] > 0;
    }
    size_t free_rows = (size_t)limits.max_rows - rows_left;
    bool place = places_left < (size_t)limits.max_sequences;
    ck_assert_int_eq(batch_has_room(batch, free_rows), place);
    ck_assert(free_rows == (size_t)limits.max_rows || !batch_has_room(batch, free_rows + 1));
}

/* Joining, leaving and ending at random while two plans are under way: the room is what it must be, and all
 * end once. */
START_TEST(room_is_exact_while_two_plans_are_under_way)
{
    struct error error;
    struct fixture fixture = open_fixture(SOURCE_UNIFORM);
    struct plan plans[STEP_SLOTS] = {0};
    struct tally tally = {{0}, {0}};
    uint64_t next = 0;
    int n_done = 0, n_left = 0;
    for (int slot = 0; slot < STEP_SLOTS; slot++) {
        ck_assert_int_eq(plan_init(&plans[slot], limits, &error), STATUS_OK);
        plans[slot].slot = slot;
    }
    for (uint32_t turn = 0; turn < 600; turn++) {
        struct plan *plan = &plans[turn % STEP_SLOTS];
        if (turn >= STEP_SLOTS) {
            int n = batch_apply(fixture.batch, plan, fixture.sampled, fixture.reports);
            for (int i = 0; i < n; i++)
                n_done += fixture.reports[i].done;
        }
        for (uint32_t i = 0; turn < 580 && next < 400; i++) {
            size_t length = 1 + pick(turn, 3 * i, LENGTH);
            if (!batch_has_room(fixture.batch, length))
                break;
            tally.left[next] = 1 + pick(turn, 3 * i + 1, 4);
            tally.length[next] = length;
            add_of(fixture.batch, next, tally.left[next], length);
            next++;
        }
        uint64_t leaves = next - 1 - pick(turn, 1000, 4);
        if (turn % 5 == 0 && leaves < next && batch_remove(fixture.batch, leaves)) {
            tally.left[leaves] = 0;
            n_left++;
        }
        batch_plan(fixture.batch, plan);
        check_plan(&tally, next, plan, fixture.batch);
    }
    for (int slot = 0; slot < STEP_SLOTS; slot++)
        plan_release(&plans[slot]);
    ck_assert_int_eq(batch_size(fixture.batch), 0);
    ck_assert_int_eq(n_done + n_left, (int)next);
    ck_assert_int_gt(n_left, 20);
    close_fixture(&fixture);
}
END_TEST

/* One sequence of the given solver from all-mask or all-zero ids; the plan of its step `k`, everything before
 * skipped. */
static void plan_with(struct fixture *fixture, enum solver solver, uint32_t k, bool revise)
{
    struct error error;
    struct sequence_input input = input_of(3, 8, LENGTH);
    float until[LENGTH];
    for (int i = 0; i < LENGTH; i++)
        until[i] = 0.25f;
    input.solver = solver;
    input.step = k;
    input.revise = revise;
    input.until_jump = until;
    ck_assert_int_eq(batch_add(fixture->batch, &input, &error), STATUS_OK);
    batch_plan(fixture->batch, &fixture->plan);
}

static int count_below(uint32_t k, double limit)
{
    int n = 0;
    for (uint32_t i = 0; i < LENGTH; i++)
        n += philox_uniform(7 * 3 + 1, k, i, PHILOX_JUMP) < limit;
    return n;
}

START_TEST(solvers_bound_their_steps)
{
    struct fixture fixture = open_fixture(SOURCE_UNIFORM);
    plan_with(&fixture, SOLVER_MIXTURE_EULER, 2, false); /* bound 1: at most 1 - 1/e, whatever the step */
    ck_assert_double_eq(fixture.plan.sequences[0].at.bound, 1);
    ck_assert_int_eq(fixture.plan.header->n_needed, count_below(2, -expm1(-1)));
    batch_clear(fixture.batch);
    plan_with(&fixture, SOLVER_DFM_EULER, 2,
              false); /* 1 - exp(-h / (1 - t)) = 1 - exp(-1/6), and then all of p */
    ck_assert_double_lt(fixture.plan.sequences[0].at.bound, 0);
    ck_assert_int_eq(fixture.plan.header->n_needed, count_below(2, -expm1(-1.0 / 6)));
    batch_clear(fixture.batch);
    batch_thin_no_more(fixture.batch);
    plan_with(&fixture, SOLVER_DFM_EULER, 2, false);
    ck_assert_int_eq(fixture.plan.header->n_needed, count_below(2, -expm1(-1.0 / 6)));
    close_fixture(&fixture);
}
END_TEST

START_TEST(revision_is_the_callers_choice)
{
    struct fixture fixture = open_fixture(SOURCE_MASK);
    plan_with(&fixture, SOLVER_MIXTURE_EULER, 2, false); /* no token is masked: nothing may jump */
    ck_assert_int_eq(fixture.plan.header->n_needed, 0);
    batch_clear(fixture.batch);
    plan_with(&fixture, SOLVER_MIXTURE_EULER, 2, true);
    ck_assert_int_gt(fixture.plan.header->n_needed, 0);
    batch_clear(fixture.batch);
    plan_with(&fixture, SOLVER_CUMULATIVE, 7, false);
    ck_assert_int_eq(fixture.plan.header->n_needed, 0);
    batch_clear(fixture.batch);
    plan_with(&fixture, SOLVER_CUMULATIVE, 7, true);
    ck_assert_int_eq(fixture.plan.header->n_needed, LENGTH);
    close_fixture(&fixture);
}
END_TEST

/* With P = 0.1 in every step a position jumps once in ten steps, whatever its phase: its jumps have no other
 * variance. */
START_TEST(stratified_jumps_are_spread_evenly)
{
    struct error error;
    struct fixture fixture = open_fixture(SOURCE_UNIFORM);
    struct sequence_input input = input_of(3, 101, LENGTH);
    int jumps[LENGTH] = {0};
    input.solver = SOLVER_STRATIFIED;
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    for (int k = 0; k < 100; k++) {
        batch_plan(fixture.batch, &fixture.plan);
        ck_assert_int_eq(fixture.plan.header->n_needed, LENGTH);
        for (int i = 0; i < LENGTH; i++) {
            bool jumps_now = fixture.plan.u_jump[i] < 0.1;
            jumps[i] += jumps_now;
            fixture.sampled[i] =
                (struct sampled){.token = jumps_now ? k % N_IDS : -1, .jump_probability = 0.1};
        }
        ck_assert_int_eq(batch_apply(fixture.batch, &fixture.plan, fixture.sampled, fixture.reports), 1);
        ck_assert_ptr_nonnull(fixture.reports[0].until_jump);
    }
    for (int i = 0; i < LENGTH; i++)
        ck_assert_msg(jumps[i] == 10 || jumps[i] == 9 || jumps[i] == 11, "position %d jumped %d times", i,
                      jumps[i]);
    close_fixture(&fixture);
}
END_TEST

START_TEST(the_likeliest_changes_are_taken_first)
{
    struct error error;
    struct fixture fixture = open_fixture(SOURCE_MASK);
    struct sequence_input input = input_of(3, 2, LENGTH);
    for (int i = 0; i < LENGTH; i++)
        some_ids[i] = N_IDS;
    input.most_changes = 3;
    ck_assert_int_eq(batch_add(fixture.batch, &input, &error), STATUS_OK);
    batch_plan(fixture.batch, &fixture.plan);
    int n = fixture.plan.header->n_needed;
    ck_assert_int_gt(n, 4);
    for (int i = 0; i < n; i++)
        fixture.sampled[i] = (struct sampled){.token = 1, .log_probability = -(float)((5 * i + 3) % n)};
    batch_apply(fixture.batch, &fixture.plan, fixture.sampled, fixture.reports);
    ck_assert_uint_eq(fixture.reports[0].n_changed, 3);
    for (int i = 0, c = 0; i < n; i++)
        if ((5 * i + 3) % n < 3)
            ck_assert_uint_eq(fixture.reports[0].positions[c++], (uint32_t)fixture.plan.needed[i]);
    batch_plan(fixture.batch, &fixture.plan); /* the last step writes all that is left */
    for (int i = 0; i < fixture.plan.header->n_needed; i++)
        fixture.sampled[i] = (struct sampled){.token = 2, .log_probability = -1};
    batch_apply(fixture.batch, &fixture.plan, fixture.sampled, fixture.reports);
    ck_assert_uint_eq(fixture.reports[0].n_changed, LENGTH - 3);
    close_fixture(&fixture);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *cases = tcase_create("batch");
    tcase_add_test(cases, bad_sequences_are_refused_by_name);
    tcase_add_test(cases, a_full_batch_says_so);
    tcase_add_test(cases, only_rows_that_can_jump_are_needed);
    tcase_add_test(cases, a_mask_source_writes_once_at_the_end);
    tcase_add_test(cases, pinned_sequences_cost_nothing_and_end);
    tcase_add_test(cases, text_does_not_depend_on_company_or_resumption);
    tcase_add_test(cases, removal_keeps_the_others);
    tcase_add_test(cases, a_place_is_free_when_the_last_step_is_planned);
    tcase_add_test(cases, room_is_exact_while_two_plans_are_under_way);
    tcase_add_test(cases, solvers_bound_their_steps);
    tcase_add_test(cases, revision_is_the_callers_choice);
    tcase_add_test(cases, stratified_jumps_are_spread_evenly);
    tcase_add_test(cases, the_likeliest_changes_are_taken_first);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
