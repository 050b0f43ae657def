/*
 * A rank above 0, alone in its process: the other rank is a collective of the test, which sends one step and
 * then no plan any more, as a leader does that waits for that step.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/engine/engine.h"

enum { LENGTH = 8, RANKS = 2, MOST_LOOKS = 1000 };

static struct backend failing; /* the CPU's table, but for `wait` */
static bool device_has_failed;
static struct model model;
static struct plan sent;
static int n_broadcasts, n_looks;

static bool bind(struct collective *collective, const struct backend *backend, struct device *device,
                 int64_t max_elements)
{
    (void)collective, (void)backend, (void)device, (void)max_elements;
    return true;
}

static void unbind(struct collective *collective)
{
    (void)collective;
}

static void all_reduce(struct collective *collective, float *x, int64_t n)
{
    (void)collective, (void)x, (void)n;
}

/* As if the other ranks had what this one has. */
static void gather(struct collective *collective, const void *part, const int *sizes_bytes, void *to)
{
    char *at = to;
    for (int rank = 0; rank < RANKS; at += sizes_bytes[rank++])
        memcpy(at, part, (size_t)sizes_bytes[collective->rank]);
}

static void exchange(struct collective *collective, const void *part, size_t size_bytes, void *to)
{
    (void)collective;
    for (int rank = 0; rank < RANKS; rank++)
        memcpy((char *)to + (size_t)rank * size_bytes, part, size_bytes);
}

static void broadcast(struct collective *collective, void *host, size_t size_bytes)
{
    if (n_broadcasts++ == 0) {
        memcpy(host, sent.block, size_bytes);
        return;
    }
    ck_assert(collective->waits != NULL);
    for (n_looks = 1; collective->waits(collective->waits_context); n_looks++)
        ck_assert_int_lt(n_looks, MOST_LOOKS); /* it never notices */
    collective->status = STATUS_INTERNAL;
}

static const struct collective_table table = {.name = "fake",
                                              .bind = bind,
                                              .unbind = unbind,
                                              .all_reduce = all_reduce,
                                              .gather = gather,
                                              .broadcast = broadcast,
                                              .exchange = exchange};

static enum status failing_wait(struct device *device, int slot, struct error *error)
{
    if (device_has_failed)
        return error_set(error, STATUS_INTERNAL, "the device is on fire");
    return backend_cpu.wait(device, slot, error);
}

static void plan_one_step(void)
{
    struct batch *batch;
    struct error error;
    const uint32_t ids[LENGTH] = {0};
    const uint8_t editable[LENGTH] = {1, 1, 1, 1, 1, 1, 1, 1};
    const struct sequence_input input = {
        .number = 1, .ids = ids, .editable = editable, .length = LENGTH, .n_steps = 1, .temperature = 1};
    ck_assert_int_eq(batch_create(&model.weights.config, model.forward.limits, &batch, &error), STATUS_OK);
    ck_assert_int_eq(plan_init(&sent, model.forward.limits, &error), STATUS_OK);
    ck_assert_int_eq(batch_add(batch, &input, &error), STATUS_OK);
    batch_plan(batch, &sent);
    ck_assert_int_gt(sent.header->n_needed, 0);
    batch_free(batch);
}

START_TEST(a_rank_that_waits_looks_after_its_device)
{
    struct collective collective = {.table = &table, .rank = 1, .n_ranks = RANKS, .n_local = RANKS};
    struct error error = {0};
    struct engine *engine;
    char directory[4096];
    snprintf(directory, sizeof directory, "%s/models/books-mini", getenv("MILLRACE_SOURCE"));
    const struct model_options options = {.directory = directory,
                                          .backend = "cpu",
                                          .n_threads = 1,
                                          .gpu = -1,
                                          .collective = &collective,
                                          .exchange = "mpi", /* the collective as it is */
                                          .limits = {.max_sequences = 1, .max_rows = 1}};
    enum status status = model_open(&model, &options, &error);
    ck_assert_msg(status == STATUS_OK, "%s", error.text);
    failing = *model.backend;
    failing.wait = failing_wait;
    model.backend = &failing;
    plan_one_step();
    n_broadcasts = 0;
    device_has_failed = true; /* in the step that is sent */
    ck_assert_int_eq(engine_create(&model, model.forward.limits, false, &engine, &error), STATUS_OK);
    ck_assert_int_eq(engine_follow(engine, &error), STATUS_INTERNAL);
    ck_assert_str_eq(error.text, "the device is on fire"); /* and not that rank 0 is gone */
    ck_assert_int_eq(n_broadcasts, 2);
    ck_assert_int_eq(n_looks, 1);
    ck_assert_ptr_null(collective.waits);
    engine_free(engine);
    plan_release(&sent);
    model_close(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("follow");
    TCase *tests = tcase_create("follow");
    tcase_add_test(tests, a_rank_that_waits_looks_after_its_device);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
