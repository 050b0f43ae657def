/* The worked example of ARCHITECTURE.md ("One step, worked out"): three sequences, two ranks. The document's
 * numbers are those of books-mini, and this test fails when they stop being true. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/engine/batch.h"
#include "common/model/shard.h"

enum { A_LENGTH = 6, B_LENGTH = 5, C_LENGTH = 4 };

static struct model_config books_mini(void)
{
    struct model_config config;
    struct error error;
    char path[4096];
    const char *source = getenv("MILLRACE_SOURCE");
    ck_assert_ptr_nonnull(source);
    snprintf(path, sizeof path, "%s/models/books-mini", source);
    ck_assert_int_eq(model_config_read(path, &config, &error), STATUS_OK);
    return config;
}

static void add(struct batch *batch, size_t length, const uint8_t *editable, uint32_t step, uint32_t n_steps,
                uint64_t seed)
{
    static const uint32_t ids[A_LENGTH] = {1, 2, 3, 4, 5, 6};
    struct sequence_input input = {.number = seed,
                                   .ids = ids,
                                   .editable = editable,
                                   .length = length,
                                   .step = step,
                                   .n_steps = n_steps,
                                   .seed = seed,
                                   .temperature = 1};
    struct error error;
    ck_assert_int_eq(batch_add(batch, &input, &error), STATUS_OK);
}

static void expect_sequence(const struct plan *plan, int index, int first_row, int end_row, double limit,
                            const int *needed, int n_needed)
{
    const struct plan_sequence *sequence = &plan->sequences[index];
    ck_assert_int_eq(sequence->first_row, first_row);
    ck_assert_int_eq(sequence->end_row, end_row);
    ck_assert_double_eq_tol(schedule_jump_limit(sequence->at.bound), limit, 5e-4);
    ck_assert_int_eq(sequence->end_needed - sequence->first_needed, n_needed);
    for (int i = 0; i < n_needed; i++)
        ck_assert_int_eq(plan->needed[sequence->first_needed + i], needed[i]);
}

START_TEST(the_plan_is_the_documents)
{
    static const uint8_t all[A_LENGTH] = {1, 1, 1, 1, 1, 1}, two_pinned[B_LENGTH] = {0, 0, 1, 1, 1};
    const struct plan_limits limits = {.max_sequences = 4, .max_rows = 64};
    struct model_config config = books_mini();
    struct batch *batch;
    struct plan plan;
    struct error error;
    ck_assert_int_eq(batch_create(&config, limits, &batch, &error), STATUS_OK);
    ck_assert_int_eq(plan_init(&plan, limits, &error), STATUS_OK);
    add(batch, A_LENGTH, all, 0, 8, 1);
    add(batch, B_LENGTH, two_pinned, 4, 8, 8);
    add(batch, C_LENGTH, all, 3, 4, 9);
    batch_plan(batch, &plan);
    ck_assert_int_eq(plan.header->n_rows, 15);
    ck_assert_int_eq(plan.header->n_needed, 7);
    expect_sequence(&plan, 0, 0, 6, 0.125, (int[]){0, 4}, 2);
    expect_sequence(&plan, 1, 6, 11, 0.25, (int[]){8}, 1);
    expect_sequence(&plan, 2, 11, 15, 1, (int[]){11, 12, 13, 14}, 4);
    ck_assert_double_eq_tol(plan.u_jump[0], 0.027, 5e-4);
    ck_assert_double_eq_tol(plan.u_jump[1], 0.101, 5e-4);
    ck_assert_double_eq_tol(plan.u_jump[2], 0.149, 5e-4);
    plan_release(&plan);
    batch_free(batch);
}
END_TEST

START_TEST(the_shards_are_the_documents)
{
    struct model_config config = books_mini();
    ck_assert_int_eq(config.n_blocks, 4);
    for (int rank = 0; rank < 2; rank++) {
        struct shard shard;
        shard_init(&shard, &config, rank, 2);
        ck_assert_int_eq(shard.heads.first, 2 * rank);
        ck_assert_int_eq(range_size(shard.heads), 2);
        ck_assert_int_eq(range_size(shard.hidden), 384);
        ck_assert_int_eq(shard.columns.first, 1024 * rank);
        ck_assert_int_eq(range_size(shard.columns), 1024);
        ck_assert_int_eq(range_size(shard.groups), 4);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worked example");
    TCase *cases = tcase_create("worked example");
    tcase_add_test(cases, the_plan_is_the_documents);
    tcase_add_test(cases, the_shards_are_the_documents);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
