/*
 * The bound on any number of ranks, through the groups' sums of exp, against the same windows computed by one
 * rank from all logits in double precision; and, for a model that knows nothing, against the closed form.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/worker/golden.h"
#include "tests/worker/mpi_main.h"
#include "worker/tools/elbo.h"

enum { N_IDS = 300, N_WINDOWS = 40, LENGTH = 12 };
static const struct elbo_options few = {.n_windows = N_WINDOWS, .length = LENGTH, .seed = 11};

static void make_text(int32_t ids[N_IDS], int vocabulary)
{
    for (int i = 0; i < N_IDS; i++)
        ids[i] = (i * i + 3 * i) % vocabulary;
}

/* ln p of all tokens in one row of logits. */
static void log_softmax(const float *logits, int n, double *log_p)
{
    double largest = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        largest = fmax(largest, (double)logits[i]);
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - largest);
    for (int i = 0; i < n; i++)
        log_p[i] = (double)logits[i] - largest - log(sum);
}

/* The formula of the specification, as it is written there. */
static double cost_of_row(const double *log_p, int32_t clean, int32_t noisy, double kappa)
{
    double delta = clean == noisy ? 1 : 0;
    return -1 / (1 - kappa) * (exp(log_p[noisy]) - delta + (1 - delta) * log_p[clean]);
}

static double cost_of_window(struct model *model, struct plan *plan, const struct elbo_window *window,
                             int index, const int32_t *ids)
{
    const struct model_config *config = &model->weights.config;
    int n = config->n_ids;
    float *logits = calloc((size_t)(LENGTH * n), sizeof *logits);
    double *log_p = calloc((size_t)n, sizeof *log_p), sum = 0;
    *plan->header = (struct plan_header){PLAN_STEP, 1, LENGTH, LENGTH};
    plan->sequences[0] = (struct plan_sequence){.at = {.t = window->t, .h = 1.0F / 1024, .bound = -1},
                                                .end_row = LENGTH,
                                                .end_needed = LENGTH,
                                                .inverse_temperature = 1};
    for (int i = 0; i < LENGTH; i++) {
        plan->ids[i] = elbo_corrupt(config, window, few.seed, index, i, ids[window->first + (size_t)i]);
        plan->needed[i] = i;
    }
    const struct matmul head = {.x = forward_run(&model->forward, plan, 0),
                                .ld_x = config->hidden,
                                .rows = LENGTH,
                                .weight = model->weights.head,
                                .bias = model->weights.head_bias,
                                .y = logits,
                                .ld_y = n};
    model->backend->matmul(model->device, &head);
    for (int i = 0; i < LENGTH; i++) {
        log_softmax(logits + i * n, n, log_p);
        sum += cost_of_row(log_p, ids[window->first + (size_t)i], plan->ids[i], window->kappa);
    }
    free(logits);
    free(log_p);
    return sum / LENGTH;
}

/* Rank by rank alone. */
static double expected_nats(const char *name, double exponent, const int32_t *ids)
{
    struct collective *self = collective_self_create();
    struct model model;
    struct plan plan;
    struct error error;
    int32_t order[N_WINDOWS];
    double sum = 0;
    golden_model(&model, name, exponent, self);
    ck_assert_int_eq(plan_init(&plan, model.forward.limits, &error), STATUS_OK);
    elbo_shuffle(order, N_WINDOWS, few.seed);
    for (int i = 0; i < N_WINDOWS; i++) {
        struct elbo_window window = elbo_window_at(&few, &model.weights.config, N_IDS, order, i);
        sum += cost_of_window(&model, &plan, &window, i, ids);
    }
    plan_release(&plan);
    model_close(&model);
    collective_free(self);
    return pow(1023.0 / 1024, exponent) * sum / N_WINDOWS;
}

static void check_model(const char *name, double exponent)
{
    int32_t ids[N_IDS];
    struct model model;
    struct elbo_result result = {0};
    struct error error;
    golden_model(&model, name, exponent, ranks);
    make_text(ids, model.weights.config.vocabulary);
    enum status status = elbo_measure(&model, &few, ids, N_IDS, &result, &error);
    double expected = expected_nats(name, exponent, ids);
    double worst =
        largest_of_ranks(ranks, status == STATUS_OK ? fabs(result.nats - expected) / expected : NAN);
    if (ranks->rank == 0)
        printf("  %-16s exponent %g: %.6f ±%.3f nats, in double precision %.6f\n", name, exponent,
               result.nats, result.error, expected);
    model_close(&model);
    ck_assert_msg(worst < 2e-5, "relative difference %g", worst);
}

START_TEST(student)
{
    check_model("student", 1);
}
END_TEST

START_TEST(student_with_another_path)
{
    check_model("student", 2);
}
END_TEST

START_TEST(teacher)
{
    check_model("teacher", 1);
}
END_TEST

START_TEST(masked_student)
{
    check_model("masked_student", 1);
}
END_TEST

/* A head of zeros: every token has p = 1/V, whatever the model sees. */
static void forget_everything(struct model *model)
{
    const struct model_config *config = &model->weights.config;
    int rows = range_size(model->weights.shard.columns);
    size_t n = (size_t)rows * (size_t)config->hidden;
    float *zeros = calloc(n + (size_t)rows + 1, sizeof *zeros);
    const struct matrix_view view = {zeros, DTYPE_F32, rows, config->hidden, config->hidden};
    struct error error;
    model->backend->weight_free(model->device, model->weights.head);
    ck_assert_int_eq(model->backend->weight_create(model->device, WEIGHT_PRODUCT, &view, 1, NULL, 1,
                                                   &model->weights.head, &error),
                     STATUS_OK);
    model->backend->upload(model->device, model->weights.head_bias, zeros, (size_t)rows * sizeof *zeros);
    free(zeros);
}

/*
 * With a uniform source a token keeps its value with probability q = κ + (1 − κ)/V, so the mean of the term
 * is −(1/V − q − (1 − q) ln V)/(1 − κ) = (1 − 1/V)(κ/(1 − κ) + ln V); its integral over κ from 0 to 1 − ε is
 * (1 − 1/V)(−ln ε − (1 − ε) + (1 − ε) ln V).
 */
START_TEST(closed_form)
{
    const struct elbo_options many = {.n_windows = 512, .length = 16, .seed = 3};
    const double epsilon = 1.0 / 1024;
    int32_t ids[N_IDS];
    struct model model;
    struct elbo_result result = {0};
    struct error error;
    golden_model(&model, "student", 1, ranks);
    forget_everything(&model);
    double v = model.weights.config.vocabulary;
    make_text(ids, model.weights.config.vocabulary);
    enum status status = elbo_measure(&model, &many, ids, N_IDS, &result, &error);
    double expected = (1 - 1 / v) * (-log(epsilon) - (1 - epsilon) + (1 - epsilon) * log(v));
    model_close(&model);
    if (ranks->rank == 0)
        printf("  knows nothing: %.4f ±%.4f nats, exactly %.4f\n", result.nats, result.error, expected);
    double apart =
        largest_of_ranks(ranks, status == STATUS_OK ? fabs(result.nats - expected) / result.error : NAN);
    ck_assert_msg(apart < 3, "%g standard errors", apart);
    ck_assert_double_lt(result.error, 0.05 * expected);
}
END_TEST

START_TEST(refusals)
{
    int32_t ids[N_IDS];
    struct model model;
    struct elbo_result result;
    struct error error;
    struct elbo_options options = few;
    golden_model(&model, "student", 1, ranks);
    make_text(ids, model.weights.config.vocabulary);
    bool right =
        elbo_measure(&model, &options, ids, LENGTH - 1, &result, &error) == STATUS_INVALID_ARGUMENT &&
        strstr(error.text, "11 tokens, fewer than a window of 12");
    options.length = model.weights.config.max_length + 1;
    right &= elbo_measure(&model, &options, ids, N_IDS, &result, &error) == STATUS_INVALID_ARGUMENT;
    ids[7] = model.weights.config.vocabulary;
    right &= elbo_measure(&model, &few, ids, N_IDS, &result, &error) == STATUS_INVALID_ARGUMENT &&
             strstr(error.text, "token 7");
    model_close(&model);
    ck_assert(largest_of_ranks(ranks, !right) == 0);
}
END_TEST

Suite *mpi_suite(void)
{
    Suite *suite = suite_create("elbo");
    TCase *cases = tcase_create("bound");
    tcase_add_test(cases, student);
    tcase_add_test(cases, student_with_another_path);
    tcase_add_test(cases, teacher);
    tcase_add_test(cases, masked_student);
    tcase_add_test(cases, closed_form);
    tcase_add_test(cases, refusals);
    suite_add_tcase(suite, cases);
    return suite;
}
