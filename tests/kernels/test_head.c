#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/philox.h"
#include "tests/kernels/support.h"
#include "tests/reference/reference.h"

/*
 * The head: scan, choose and draw, by one rank and by several, against the plain law: the first id whose
 * running sum passes u · total. Draws within 1e-6 of a border of that law may fall on either side of it.
 */
struct shape {
    int rows, n_out, n_in;
};
static const struct shape shapes[] = {{1, 40, 8},     {37, 129, 30}, {15, 389, 64},
                                      {50, 2048, 16}, {6, 50257, 8}, {1013, 300, 5}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

struct problem {
    const struct shape *shape;
    float *x, *w, *bias, *inverse_temperature;
    int32_t *left_out;
    double *bound, *u_jump, *u_draw;
};

/* What one run of the three operations gave; token and logit as the owners gave them. */
struct outcome {
    struct exp_sum *groups; /* [VOCABULARY_GROUPS, rows] */
    float *left_out_logit;  /* [ranks, rows] */
    struct row_choice *choice;
    double *jump_probability;
    struct drawn_token *drawn;
};

static void problem_init(struct problem *problem, const struct shape *shape)
{
    int rows = shape->rows;
    problem->shape = shape;
    problem->x = random_floats((size_t)rows * shape->n_in, 50, 2);
    problem->w = random_floats((size_t)shape->n_out * shape->n_in, 51, 1);
    problem->bias = random_floats((size_t)shape->n_out, 52, 1);
    problem->inverse_temperature = cleared(rows, sizeof(float));
    problem->left_out = random_ids(rows, 53, shape->n_out);
    problem->bound = cleared(rows, sizeof(double));
    problem->u_jump = cleared(rows, sizeof(double));
    problem->u_draw = cleared(rows, sizeof(double));
    for (int i = 0; i < rows; i++) {
        problem->inverse_temperature[i] = i % 3 == 0 ? 1.0f : 0.7f + 0.1f * (float)(i % 7);
        problem->bound[i] = i % 4 == 3 ? -1 : 0.3 + i % 5;
        if (i % 8 == 7)
            problem->left_out[i] = -1; /* last step without a mask token */
        problem->u_jump[i] = philox_uniform(7, 0, (uint32_t)i, PHILOX_JUMP);
        problem->u_draw[i] = philox_uniform(7, 0, (uint32_t)i, PHILOX_DRAW);
    }
}

static void problem_release(struct problem *problem)
{
    free(problem->x), free(problem->w), free(problem->bound), free(problem->bias), free(problem->left_out);
    free(problem->u_jump), free(problem->u_draw), free(problem->inverse_temperature);
}

static void outcome_init(struct outcome *outcome, int rows)
{
    outcome->groups = cleared((size_t)VOCABULARY_GROUPS * rows, sizeof *outcome->groups);
    outcome->left_out_logit = cleared((size_t)VOCABULARY_GROUPS * rows, sizeof(float));
    outcome->choice = cleared(rows, sizeof *outcome->choice);
    outcome->jump_probability = cleared(rows, sizeof(double));
    outcome->drawn = cleared(rows, sizeof *outcome->drawn);
}

static void outcome_release(struct outcome *outcome)
{
    free(outcome->groups), free(outcome->left_out_logit), free(outcome->choice);
    free(outcome->jump_probability), free(outcome->drawn);
}

/* Column at which group `group` begins: whole tiles, nearly equal; some groups are empty in a small
 * vocabulary. */
static int group_begin(int n_out, int group)
{
    int n_tiles = (n_out + VOCABULARY_TILE - 1) / VOCABULARY_TILE;
    int column = n_tiles * group / VOCABULARY_GROUPS * VOCABULARY_TILE;
    return group == VOCABULARY_GROUPS || column > n_out ? n_out : column;
}

/* One rank's share of a run. */
struct rank {
    struct weight *weight;
    int32_t group_column[VOCABULARY_GROUPS + 1];
    struct head_scan scan;
};

static void rank_scan(struct device *device, const struct problem *problem, int index, int n_ranks,
                      struct outcome *outcome, struct rank *rank)
{
    const struct shape *shape = problem->shape;
    int n_groups = VOCABULARY_GROUPS / n_ranks, first_group = index * n_groups;
    int first = group_begin(shape->n_out, first_group),
        n = group_begin(shape->n_out, first_group + n_groups) - first;
    memset(rank, 0, sizeof *rank);
    rank->weight = weight_slice(device, problem->w, shape->n_in, first, n, 0, shape->n_in, NULL, 1);
    for (int g = 0; g <= n_groups; g++)
        rank->group_column[g] = group_begin(shape->n_out, first_group + g) - first;
    size_t n_tiles = (size_t)(n + VOCABULARY_TILE - 1) / VOCABULARY_TILE;
    rank->scan = (struct head_scan){.x = problem->x,
                                    .rows = shape->rows,
                                    .weight = rank->weight,
                                    .bias = problem->bias + first,
                                    .first_column = first,
                                    .n_groups = n_groups,
                                    .group_column = rank->group_column,
                                    .inverse_temperature = problem->inverse_temperature,
                                    .left_out = problem->left_out,
                                    .tiles = cleared(n_tiles * shape->rows, sizeof(struct exp_sum)),
                                    .groups = outcome->groups + first_group * shape->rows,
                                    .left_out_logit = outcome->left_out_logit + index * shape->rows};
    backend_cpu.head_scan(device, &rank->scan);
}

static void rank_draw(struct device *device, int first_group, struct outcome *outcome, struct rank *rank)
{
    int rows = rank->scan.rows;
    struct drawn_token *own = cleared(rows, sizeof *own);
    struct head_draw draw = {
        .scan = rank->scan, .first_group = first_group, .choice = outcome->choice, .drawn = own};
    backend_cpu.head_draw(device, &draw);
    for (int i = 0; i < rows; i++)
        if (own[i].token >= 0) {
            ck_assert_int_eq(outcome->drawn[i].token, -1); /* one owner */
            outcome->drawn[i] = own[i];
        }
    free(own);
    free(rank->scan.tiles);
    backend_cpu.weight_free(device, rank->weight);
}

static void run(struct device *device, const struct problem *problem, int n_ranks, struct outcome *outcome)
{
    int rows = problem->shape->rows;
    struct rank ranks[VOCABULARY_GROUPS];
    for (int i = 0; i < n_ranks; i++)
        rank_scan(device, problem, i, n_ranks, outcome, &ranks[i]);
    struct head_choose choose = {.rows = rows,
                                 .n_groups = VOCABULARY_GROUPS,
                                 .groups = outcome->groups,
                                 .n_ranks = n_ranks,
                                 .left_out_logit = outcome->left_out_logit,
                                 .bound = problem->bound,
                                 .u_jump = problem->u_jump,
                                 .u_draw = problem->u_draw,
                                 .choice = outcome->choice,
                                 .jump_probability = outcome->jump_probability};
    backend_cpu.head_choose(device, &choose);
    for (int i = 0; i < rows; i++)
        outcome->drawn[i] = (struct drawn_token){-1, 0};
    for (int i = 0; i < n_ranks; i++)
        rank_draw(device, i * VOCABULARY_GROUPS / n_ranks, outcome, &ranks[i]);
}

static void check_row(const struct problem *problem, const struct outcome *outcome, int row,
                      const double *logits)
{
    struct reference_choice expected =
        reference_choose(logits, problem->shape->n_out, problem->left_out[row], problem->bound[row],
                         problem->u_jump[row], problem->u_draw[row]);
    const struct drawn_token *drawn = &outcome->drawn[row];
    ck_assert_double_le(fabs(outcome->jump_probability[row] - expected.jump_probability), 1e-6);
    if (expected.margin < 1e-6)
        return;
    ck_assert_msg(drawn->token == expected.token, "row %d drew %d, expected %d", row, drawn->token,
                  expected.token);
    if (drawn->token < 0)
        return;
    ck_assert_double_le(fabs(drawn->logit - logits[drawn->token]), 1e-5);
    double log_probability = drawn->logit - outcome->choice[row].log_total;
    ck_assert_double_le(fabs(log_probability - expected.log_probability), 1e-5);
}

START_TEST(test_draws_follow_the_law)
{
    struct problem problem;
    problem_init(&problem, &shapes[_i]);
    int rows = shapes[_i].rows, n_out = shapes[_i].n_out;
    double *logits = cleared((size_t)rows * n_out, sizeof *logits);
    struct outcome first, other;
    outcome_init(&first, rows), outcome_init(&other, rows);
    struct head_scan scan = {.x = problem.x,
                             .rows = rows,
                             .bias = problem.bias,
                             .inverse_temperature = problem.inverse_temperature};
    reference_logits(&scan, problem.w, n_out, shapes[_i].n_in, logits);
    struct device *device = open_device(machine_isas()[0], 1);
    run(device, &problem, 1, &first);
    finish_device(device);
    for (int row = 0; row < rows; row++)
        check_row(&problem, &first, row, logits + (size_t)row * n_out);
    for (const char *const *isa = machine_isas(); *isa != NULL; isa++)
        for (int n_ranks = 1; n_ranks <= VOCABULARY_GROUPS; n_ranks *= 2) {
            device = open_device(*isa, n_ranks % 3 + 1);
            run(device, &problem, n_ranks, &other);
            finish_device(device);
            check_same_bits(first.groups, other.groups, sizeof *first.groups * VOCABULARY_GROUPS * rows,
                            *isa);
            check_same_bits(first.jump_probability, other.jump_probability, sizeof(double) * rows, *isa);
            check_same_bits(first.drawn, other.drawn, sizeof *first.drawn * rows, *isa);
        }
    outcome_release(&first), outcome_release(&other);
    free(logits);
    problem_release(&problem);
}
END_TEST

/* Many uniforms on one law, u over a grid and at its ends: every token by its exact share, the left-out one
 * never. */
START_TEST(test_every_uniform_finds_its_token)
{
    enum { ROWS = 1000, N_OUT = 300, N_IN = 4, LEFT_OUT = 131 };
    static const struct shape shape = {ROWS, N_OUT, N_IN};
    struct problem problem;
    struct outcome outcome;
    problem_init(&problem, &shape);
    outcome_init(&outcome, ROWS);
    double *logits = cleared((size_t)ROWS * N_OUT, sizeof *logits);
    int rows_drawn = 0;
    for (int i = 0; i < ROWS; i++) {
        memcpy(problem.x + i * N_IN, problem.x, N_IN * sizeof(float));
        problem.inverse_temperature[i] = 1;
        problem.left_out[i] = LEFT_OUT;
        problem.bound[i] = i % 2 ? -1 : 1e9;
        problem.u_jump[i] = 0;
        problem.u_draw[i] = i == ROWS - 1 ? 1 - 0x1p-53 : (double)i / ROWS;
    }
    struct head_scan scan = {.x = problem.x,
                             .rows = ROWS,
                             .bias = problem.bias,
                             .inverse_temperature = problem.inverse_temperature};
    reference_logits(&scan, problem.w, N_OUT, N_IN, logits);
    struct device *device = open_device(machine_isas()[0], 2);
    run(device, &problem, 2, &outcome);
    finish_device(device);
    for (int row = 0; row < ROWS; row++) {
        check_row(&problem, &outcome, row, logits + (size_t)row * N_OUT);
        ck_assert_int_ne(outcome.drawn[row].token, LEFT_OUT);
        rows_drawn += outcome.drawn[row].token >= 0;
    }
    ck_assert_int_eq(rows_drawn, ROWS);
    ck_assert_int_eq(outcome.drawn[0].token, 0);
    ck_assert_int_eq(outcome.drawn[ROWS - 1].token, N_OUT - 1);
    outcome_release(&outcome);
    free(logits);
    problem_release(&problem);
}
END_TEST

/* One token has nearly all mass: of the rest, sums of exp underflow in whole tiles. */
START_TEST(test_a_law_with_one_token)
{
    enum { ROWS = 4, N_OUT = 500, TOP = 260 };
    static const struct shape shape = {ROWS, N_OUT, 3};
    struct problem problem;
    struct outcome outcome;
    problem_init(&problem, &shape);
    outcome_init(&outcome, ROWS);
    problem.bias[TOP] = 5000;
    for (int i = 0; i < ROWS; i++) {
        problem.bound[i] = i < 2 ? 3 : -1;
        problem.left_out[i] = i == 0 ? TOP : -1; /* row 0 holds the token: it must stay */
        problem.u_draw[i] = i == 3 ? 1 - 0x1p-53 : 0.25;
        problem.u_jump[i] = 0;
    }
    struct device *device = open_device(machine_isas()[0], 2);
    run(device, &problem, 4, &outcome);
    finish_device(device);
    ck_assert_int_eq(outcome.drawn[0].token, -1);
    ck_assert_double_eq(outcome.jump_probability[0], 0);
    for (int i = 1; i < ROWS; i++)
        ck_assert_int_eq(outcome.drawn[i].token, TOP);
    outcome_release(&outcome);
    problem_release(&problem);
}
END_TEST

START_TEST(test_logits_that_are_no_numbers_are_a_failure)
{
    static const struct shape shape = {3, 200, 3};
    struct problem problem;
    struct outcome outcome;
    struct error error;
    problem_init(&problem, &shape);
    outcome_init(&outcome, 3);
    problem.x[4] = problem.x[7] = NAN; /* rows 1 and 2: the first is reported */
    struct device *device = open_device(machine_isas()[0], 1);
    run(device, &problem, 1, &outcome);
    ck_assert_int_eq(backend_cpu.synchronize(device, &error), STATUS_INTERNAL);
    ck_assert_str_eq(error.text, "row 1 of the head has no finite logits; is the model damaged?");
    backend_cpu.close(device);
    outcome_release(&outcome);
    problem_release(&problem);
}
END_TEST

Suite *head_suite(void)
{
    Suite *suite = suite_create("head");
    TCase *tests = tcase_create("head");
    tcase_add_loop_test(tests, test_draws_follow_the_law, 0, N_SHAPES);
    tcase_add_test(tests, test_every_uniform_finds_its_token);
    tcase_add_test(tests, test_a_law_with_one_token);
    tcase_add_test(tests, test_logits_that_are_no_numbers_are_a_failure);
    suite_add_tcase(suite, tests);
    return suite;
}
