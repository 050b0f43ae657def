/* The time grid and the step quantities against the reference's, for both scheduler exponents and both sources. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "worker/schedule.h"

/* The reference takes one empty step more for these; golden README. Ours are compared on the steps that both have. */
START_TEST(grid_is_the_references)
{
    static const int steps[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 49, 64, 100, 128, 256, 512, 1024};
    struct tensors *golden = golden_open("time_grids.safetensors");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%d.eps0.t", steps[i]);
        const float *t = golden_f32(golden, name);
        int n_reference = (int)golden_tensor(golden, name)->shape[0];
        snprintf(name, sizeof name, "n%d.eps0.dt", steps[i]);
        const float *dt = golden_f32(golden, name);
        bool empty_last = n_reference == steps[i] + 1;
        ck_assert(empty_last || n_reference == steps[i]);
        for (int step = 0; step < steps[i]; step++) {
            struct schedule_step at = schedule_step_at(step, steps[i], 1);
            ck_assert_msg(at.t == t[step], "n=%d step %d: t %.9g, reference %.9g", steps[i], step, (double)at.t,
                          (double)t[step]);
            ck_assert_msg(at.h == dt[step], "n=%d step %d: h %.9g, reference %.9g", steps[i], step, (double)at.h,
                          (double)dt[step]);
            ck_assert_int_eq(at.bound < 0, step == steps[i] - 1);
        }
    }
    tensors_close(golden);
}
END_TEST

START_TEST(every_number_of_steps_ends_at_one)
{
    for (int n = 1; n <= 1024; n++) {
        float before = -1;
        for (int step = 0; step < n; step++) {
            struct schedule_step at = schedule_step_at(step, n, 1);
            ck_assert(at.t > before && at.h > 0);
            before = at.t;
            if (step == n - 1)
                ck_assert_float_eq(at.t + at.h, 1.0f);
        }
    }
}
END_TEST

/* P(jump) by the formula that the sampler uses, for the golden probabilities. */
static double jump_probability(double bound, const float *p, int n, int64_t current)
{
    double others = 0;
    for (int i = 0; i < n; i++)
        others += i == current ? 0 : (double)p[i];
    return -expm1(-bound * others / (others + (double)p[current])); /* float32 probabilities do not add up to 1 */
}

static void check_steps(const char *file, double exponent)
{
    struct tensors *golden = golden_open(file);
    const struct tensor *probabilities = golden_tensor(golden, "probs");
    const int64_t *current = golden_i64(golden, "x_t");
    int n_rows = (int)(probabilities->shape[0] * probabilities->shape[1]), n_ids = (int)probabilities->shape[2];
    double worst_bound = 0, worst_jump = 0;
    int n_checked = 0;
    for (int i = 0; i < tensors_count(golden); i++) {
        const char *name = tensors_at(golden, i)->name;
        size_t length = strlen(name);
        if (length < 3 || strcmp(name + length - 2, ".t"))
            continue;
        char other[64];
        int stem = (int)length - 2;
        float t = *golden_f32(golden, name);
        snprintf(other, sizeof other, "%.*s.h", stem, name);
        float h = *golden_f32(golden, other);
        snprintf(other, sizeof other, "%.*s.alpha", stem, name);
        double alpha = (double)*golden_f32(golden, other);
        snprintf(other, sizeof other, "%.*s.jump_prob", stem, name);
        const float *expected = golden_f32(golden, other);
        double bound = schedule_bound(t, h, exponent);
        worst_bound = fmax(worst_bound, fabs(bound - alpha * (double)h));
        for (int row = 0; row < n_rows; row++) {
            const float *p = (const float *)probabilities->data + row * n_ids;
            double ours = jump_probability(bound, p, n_ids, current[row]);
            worst_jump = fmax(worst_jump, fabs(ours - (double)expected[row]));
            ck_assert(ours <= schedule_jump_limit(bound) + 1e-12); /* what exact thinning rests on */
        }
        n_checked++;
    }
    printf("  %-42s %d steps: alpha*h differs by %.2g, P(jump) by %.2g\n", file, n_checked, worst_bound, worst_jump);
    ck_assert_int_gt(n_checked, 5);
    ck_assert_msg(worst_bound <= 5e-6, "%s: alpha*h differs by %g", file, worst_bound); /* as in check_golden.py */
    ck_assert_msg(worst_jump <= 1e-6, "%s: P(jump) differs by %g", file, worst_jump);
    tensors_close(golden);
}

START_TEST(step_quantities)
{
    check_steps("step_cumulative_exp1_uniform.safetensors", 1);
    check_steps("step_cumulative_exp1_masked.safetensors", 1);
    check_steps("step_cumulative_exp2_uniform.safetensors", 2);
    check_steps("step_cumulative_exp2_masked.safetensors", 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *cases = tcase_create("schedule");
    tcase_add_test(cases, grid_is_the_references);
    tcase_add_test(cases, every_number_of_steps_ends_at_one);
    tcase_add_test(cases, step_quantities);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
