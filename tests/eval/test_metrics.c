/* Every figure against one that was worked out by hand. */
#include <math.h>
#include <stdlib.h>

#include "cli/eval/metrics.h"
#include "tests/eval/suites.h"

static const double close_enough = 1e-12;

START_TEST(entropy)
{
    uint32_t scratch[8];
    const uint32_t even[] = {7, 3, 7, 3}, one[] = {5, 5, 5}, skewed[] = {9, 1, 9, 2, 9, 1, 9, 9},
                   four[] = {1, 2, 3, 4};
    ck_assert_double_eq_tol(metrics_entropy_bits(even, 4, scratch), 1, close_enough);
    ck_assert_double_eq_tol(metrics_entropy_bits(one, 3, scratch), 0, close_enough);
    ck_assert_double_eq_tol(metrics_entropy_bits(four, 4, scratch), 2, close_enough);
    /* 5/8, 2/8, 1/8 */
    double expected = -(0.625 * log2(0.625) + 0.25 * log2(0.25) + 0.125 * log2(0.125));
    ck_assert_double_eq_tol(metrics_entropy_bits(skewed, 8, scratch), expected, close_enough);
    ck_assert_double_eq(metrics_entropy_bits(one, 0, scratch), 0);
}
END_TEST

START_TEST(distinct)
{
    uint32_t scratch[8];
    const uint32_t ids[] = {1, 2, 1, 2, 1, 3};
    ck_assert_double_eq_tol(metrics_distinct(ids, 6, 1, scratch), 3.0 / 6, close_enough); /* 1 2 3 */
    ck_assert_double_eq_tol(metrics_distinct(ids, 6, 2, scratch), 3.0 / 5, close_enough); /* 12 21 13 */
    ck_assert_double_eq_tol(metrics_distinct(ids, 6, 3, scratch), 3.0 / 4, close_enough); /* 121 212 213 */
    ck_assert(isnan(metrics_distinct(ids, 2, 3, scratch)));
}
END_TEST

START_TEST(estimates)
{
    const double values[] = {1, NAN, 2, 3, 6};
    struct estimate estimate = metrics_estimate(values, 5);
    ck_assert_double_eq_tol(estimate.mean, 3, close_enough);
    ck_assert_double_eq_tol(estimate.error, sqrt((4 + 1 + 0 + 9) / 3.0 / 4), close_enough);
    ck_assert_double_eq(metrics_estimate(values, 1).mean, 1);
    ck_assert(isnan(metrics_estimate(values, 1).error));
    ck_assert(isnan(metrics_estimate(values + 1, 1).mean));
    ck_assert_double_eq_tol(metrics_z((struct estimate){5, 3}, (struct estimate){15, 4}), -2, close_enough);
    ck_assert(isnan(metrics_z((struct estimate){5, NAN}, (struct estimate){15, 4})));
}
END_TEST

/* Three texts of 2 steps, one of 4, one of another model; one without a judgement. */
static void fill(struct sample_list *list)
{
    static char ours[] = "ours", theirs[] = "theirs";
    static uint32_t ids[] = {1, 2, 1, 2};
    const struct sample samples[] = {
        {.model = ours,
         .ids = ids,
         .n_ids = 4,
         .steps = 2,
         .nll = 2,
         .n_judge_tokens = 2,
         .log_probability = -1,
         .seconds = 1},
        {.model = ours,
         .ids = ids,
         .n_ids = 4,
         .steps = 4,
         .nll = 9,
         .n_judge_tokens = 3,
         .log_probability = -9,
         .seconds = 9},
        {.model = ours,
         .ids = ids,
         .n_ids = 3,
         .steps = 2,
         .nll = 9,
         .n_judge_tokens = 3,
         .log_probability = -3,
         .seconds = 3},
        {.model = theirs, .ids = ids, .n_ids = 4, .steps = 2, .log_probability = NAN, .seconds = NAN},
        {.model = ours, .ids = ids, .n_ids = 4, .steps = 2, .log_probability = NAN, .seconds = 2},
    };
    for (int i = 0; i < 5; i++)
        *sample_list_add(list) = samples[i];
}

START_TEST(groups)
{
    struct sample_list list = {0};
    struct metrics *rows;
    size_t n;
    struct error error;
    fill(&list);
    ck_assert_int_eq(metrics_of_list(&list, &rows, &n, &error), STATUS_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq(rows[0].steps, 2);
    ck_assert_uint_eq(rows[0].n_texts, 3);
    ck_assert_uint_eq(rows[0].n_judged, 2);
    ck_assert_double_eq_tol(rows[0].perplexity.mean, (exp(1) + exp(3)) / 2, close_enough);
    ck_assert_double_eq_tol(rows[0].perplexity.error, (exp(3) - exp(1)) / 2, 1e-9);
    ck_assert_double_eq_tol(rows[0].corpus_perplexity.mean, exp(11.0 / 5), close_enough);
    /* residuals 2 - 2.2*2 and 9 - 2.2*3: ±2.4; √(2·(2·2.4²)/1)/5 */
    ck_assert_double_eq_tol(rows[0].corpus_perplexity.error, exp(2.2) * sqrt(4 * 2.4 * 2.4) / 5, 1e-9);
    ck_assert_double_eq_tol(rows[0].log_probability.mean, -2, close_enough);
    ck_assert_double_eq_tol(rows[0].seconds.mean, 2, close_enough);
    double two_one = -(2 / 3.0 * log2(2 / 3.0) + 1 / 3.0 * log2(1 / 3.0));
    ck_assert_double_eq_tol(rows[0].entropy_bits.mean, (1 + two_one + 1) / 3, close_enough);
    ck_assert_double_eq_tol(rows[0].distinct[0].mean, (0.5 + 2 / 3.0 + 0.5) / 3, close_enough);
    ck_assert_uint_eq(rows[1].steps, 4);
    ck_assert_str_eq(rows[2].model, "theirs");
    ck_assert(isnan(rows[2].perplexity.mean) && isnan(rows[2].corpus_perplexity.mean) &&
              isnan(rows[2].seconds.mean));
    free(rows);
    free(list.samples);
}
END_TEST

Suite *metrics_suite(void)
{
    Suite *suite = suite_create("metrics");
    TCase *cases = tcase_create("by hand");
    tcase_add_test(cases, entropy);
    tcase_add_test(cases, distinct);
    tcase_add_test(cases, estimates);
    tcase_add_test(cases, groups);
    suite_add_tcase(suite, cases);
    return suite;
}
