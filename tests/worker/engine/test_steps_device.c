/*
 * Whole texts on a device whose work is only enqueued, of the backend that MILLRACE_TEST_BACKEND names
 * (default: cpu): with the host running ahead and without, the sums through the host and on the device, the
 * same texts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/worker/golden.h"
#include "tests/worker/mpi_main.h"
#include "worker/engine/steps.h"

enum { N_TEXTS = 3, LENGTH = 8, N_STEPS = 4 };

static struct model model;

static void open_model(void)
{
    char name[16];
    snprintf(name, sizeof name, "rank%d", ranks->rank);
    setenv("NCCL_HOSTID", name, 1); /* the emulated machine has one GPU */
    golden_model(&model, "nano_student_ema", 1, ranks);
}

static void add(struct batch *batch, uint32_t number)
{
    static const uint8_t editable[LENGTH] = {1, 1, 1, 1, 1, 1, 1, 1};
    uint32_t ids[LENGTH];
    struct error error;
    for (uint32_t i = 0; i < LENGTH; i++)
        ids[i] = (7 * i + number) % (uint32_t)model.weights.config.vocabulary;
    const struct sequence_input input = {.number = number,
                                         .ids = ids,
                                         .editable = editable,
                                         .length = LENGTH,
                                         .n_steps = N_STEPS,
                                         .seed = number + 1,
                                         .temperature = 1};
    ck_assert_msg(batch_add(batch, &input, &error) == STATUS_OK, "%s", error.text);
}

/* All changes of all texts, in one number. */
static uint64_t write_texts(bool run_ahead)
{
    struct error error;
    struct batch *batch;
    struct steps steps;
    struct sequence_report reports[N_TEXTS];
    double seconds;
    uint64_t sum = 0xCBF29CE484222325u;
    const struct plan_limits limits = {N_TEXTS, model.forward.limits.max_rows};
    ck_assert_int_eq(batch_create(&model.weights.config, limits, &batch, &error), STATUS_OK);
    ck_assert_int_eq(steps_init(&steps, &model, batch, limits, &error), STATUS_OK);
    steps.run_ahead = run_ahead;
    for (uint32_t i = 0; i < N_TEXTS; i++)
        add(batch, i);
    for (int n = 0; batch_size(batch) > 0;) {
        ck_assert_msg(steps_turn(&steps, reports, &n, &seconds, &error) == STATUS_OK, "%s", error.text);
        for (int r = 0; r < n; r++)
            for (size_t c = 0; c < reports[r].n_changed; c++)
                sum = (sum ^ (reports[r].number << 40 ^ (uint64_t)reports[r].positions[c] << 20 ^
                              reports[r].ids[c])) *
                      0x100000001B3u;
    }
    steps_release(&steps);
    batch_free(batch);
    return sum;
}

START_TEST(running_ahead_changes_nothing)
{
    open_model();
    uint64_t behind = write_texts(false), ahead = write_texts(true), again = write_texts(true);
    ck_assert_double_eq(largest_of_ranks(ranks, behind != ahead || behind != again), 0);
    ck_assert_uint_ne(behind, 0xCBF29CE484222325u);
    printf("  %s, %d ranks: %016llx\n", model.backend->name, ranks->n_ranks, (unsigned long long)behind);
    model_close(&model);
}
END_TEST

Suite *mpi_suite(void)
{
    Suite *suite = suite_create("steps on a device");
    TCase *cases = tcase_create("steps");
    tcase_add_test(cases, running_ahead_changes_nothing);
    suite_add_tcase(suite, cases);
    return suite;
}
