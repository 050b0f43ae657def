/* Logits of every golden forward pass, sharded over the ranks, against the reference's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "mpi_main.h"

/* float32 against float32; the reference itself is within 6e-6 of float64 (golden README) */
static const double tolerance = 2e-5;

/* Every row is needed: the whole model, last block and output layer included, runs for all rows. */
static void plan_everything(struct plan *plan, const int64_t *ids, const float *t, const float *dt, int n_sequences,
                            int length)
{
    *plan->header = (struct plan_header){PLAN_STEP, n_sequences, n_sequences * length, n_sequences * length};
    for (int s = 0; s < n_sequences; s++)
        plan->sequences[s] = (struct plan_sequence){.at = {.t = t[s], .h = dt ? dt[s] : 0, .bound = -1},
                                                    .first_row = s * length,
                                                    .end_row = (s + 1) * length,
                                                    .first_needed = s * length,
                                                    .end_needed = (s + 1) * length,
                                                    .inverse_temperature = 1};
    for (int row = 0; row < n_sequences * length; row++) {
        plan->ids[row] = (int32_t)ids[row];
        plan->needed[row] = row;
    }
}

/* The largest difference over this rank's columns. */
static double compare_logits(struct model *model, const float *x, int rows, const float *expected)
{
    struct range columns = model->weights.shard.columns;
    int n = range_size(columns), n_ids = model->weights.config.n_ids, width = model->weights.config.hidden;
    float *logits = calloc((size_t)rows * (size_t)(n ? n : 1), sizeof *logits);
    const struct matmul op = {.x = x, .ld_x = width, .rows = rows, .weight = model->weights.head,
                              .bias = model->weights.head_bias, .y = logits, .ld_y = n};
    model->backend->matmul(model->device, &op);
    double worst = 0;
    for (int row = 0; row < rows; row++)
        for (int c = 0; c < n; c++) {
            double difference = fabs((double)logits[row * n + c] - (double)expected[row * n_ids + columns.first + c]);
            worst = difference <= worst ? worst : difference;
        }
    free(logits);
    return worst;
}

static void check_case(struct model *model, const struct tensors *golden, const char *file, const char *prefix)
{
    char name[64];
    snprintf(name, sizeof name, "%s.x_t", prefix);
    const struct tensor *ids = golden_tensor(golden, name);
    snprintf(name, sizeof name, "%s.t", prefix);
    const float *t = golden_f32(golden, name);
    snprintf(name, sizeof name, "%s.dt", prefix);
    const struct tensor *dt = tensors_find(golden, name);
    snprintf(name, sizeof name, "%s.logits", prefix);
    const float *expected = golden_f32(golden, name);

    struct plan plan;
    struct error error;
    ck_assert_int_eq(plan_init(&plan, model->forward.limits, &error), STATUS_OK);
    int n_sequences = (int)ids->shape[0], length = (int)ids->shape[1];
    plan_everything(&plan, ids->data, t, dt ? dt->data : NULL, n_sequences, length);
    const float *x = forward_run(&model->forward, &plan);
    double worst = largest_of_ranks(ranks, compare_logits(model, x, n_sequences * length, expected));
    plan_release(&plan);
    if (ranks->rank == 0)
        printf("  %-24s %-12s %d x %-3d largest difference %.2g (at most %g)\n", file, prefix, n_sequences, length, worst,
               tolerance);
    ck_assert_msg(worst <= tolerance, "%s %s: logits differ by %g", file, prefix, worst);
}

static void check_model(const char *name)
{
    struct model model;
    char file[64], prefix[16];
    golden_model(&model, name, 1, ranks);
    snprintf(file, sizeof file, "forward_%s.safetensors", name);
    struct tensors *golden = golden_open(file);
    for (int i = 0; i < 5; i++) {
        snprintf(prefix, sizeof prefix, "case%d", i);
        check_case(&model, golden, file, prefix);
    }
    tensors_close(golden);
    model_close(&model);
}

START_TEST(teacher)
{
    check_model("teacher");
}
END_TEST

START_TEST(student)
{
    check_model("student");
}
END_TEST

START_TEST(masked_student)
{
    check_model("masked_student");
}
END_TEST

/* Embeddings so small that the eps of the norm decides: a wrong one moves these logits by 8e-2. */
START_TEST(nano)
{
    static const char *const models[] = {"nano_student_ema", "nano_student_raw", "nano_teacher"};
    struct tensors *golden = golden_open("forward_nano.safetensors");
    for (int i = 0; i < 3; i++) {
        struct model model;
        golden_model(&model, models[i], 1, ranks);
        check_case(&model, golden, "forward_nano.safetensors", models[i] + strlen("nano_"));
        model_close(&model);
    }
    tensors_close(golden);
}
END_TEST

Suite *mpi_suite(void)
{
    Suite *suite = suite_create("forward");
    TCase *cases = tcase_create("golden logits");
    tcase_add_test(cases, teacher);
    tcase_add_test(cases, student);
    tcase_add_test(cases, masked_student);
    tcase_add_test(cases, nano);
    suite_add_tcase(suite, cases);
    return suite;
}
