#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/philox.h"
#include "tests/kernels/any.h"
#include "tests/kernels/support.h"
#include "tests/reference/reference.h"

/*
 * The head on any backend: scan, choose and draw, by one rank and by several, against the plain law (the
 * first id whose running sum passes u · total) on the inputs as the device holds them. Draws within a margin
 * of a border of that law may fall on either side of it.
 */
static double margin(void)
{
    return any_backend->on_host ? 1e-6 : 1e-5;
}

/* A tensor core aligns the terms of a sum and cuts off what is below: the error grows with the terms. */
static double logit_tolerance(int n_in)
{
    return any_backend->on_host ? 1e-5 : 2e-5 + 6e-8 * n_in;
}

static struct {
    double jump, logit;
} largest; /* deviation so far: printed at the end, so that a new GPU's rounding is seen */

struct shape {
    int rows, n_out, n_in;
};
static const struct shape shapes[] = {{1, 40, 8},     {37, 129, 30},   {15, 389, 64},
                                      {50, 2048, 16}, {6, 50257, 8},   {1013, 300, 5},
                                      {70, 389, 80},  {130, 517, 136}, {17, 200, 1000}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

struct problem {
    const struct shape *shape;
    struct device *device;
    float *x, *w, *bias, *inverse_temperature;
    int32_t *left_out;
    double *bound, *u_jump, *u_draw;
    void *x_there, *temperature_there, *left_out_there, *bound_there, *u_jump_there, *u_draw_there;
};

/* What one run of the three operations gave, on the host; token and logit as the owners gave them. */
struct outcome {
    struct exp_sum *groups; /* [VOCABULARY_GROUPS, rows] */
    struct exp_sum *tiles;  /* [rows, n_tiles] of a single rank */
    struct row_choice *choice;
    double *jump_probability;
    struct drawn_token *drawn;
};

/* x, w and what the law asks for, as the device's formats hold them; change it before problem_upload. */
static void problem_init(struct problem *problem, const struct any_variant *variant,
                         const struct shape *shape)
{
    int rows = shape->rows;
    memset(problem, 0, sizeof *problem);
    problem->shape = shape;
    problem->device = any_open_variant(variant);
    problem->x = random_floats((size_t)rows * shape->n_in, 50, 2);
    problem->w = random_floats((size_t)shape->n_out * shape->n_in, 51, shape->n_in < 100 ? 1 : 0.2f);
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

static void problem_upload(struct problem *problem)
{
    struct device *device = problem->device;
    enum dtype type = any_backend->activation_type(device);
    size_t rows = (size_t)problem->shape->rows, n_in = (size_t)problem->shape->n_in;
    any_round(problem->x, rows * n_in, type);
    any_round(problem->w, (size_t)problem->shape->n_out * n_in, type);
    problem->x_there = any_put_floats(device, problem->x, rows * n_in, type);
    problem->temperature_there = any_put(device, problem->inverse_temperature, rows * sizeof(float));
    problem->left_out_there = any_put(device, problem->left_out, rows * sizeof(int32_t));
    problem->bound_there = any_put(device, problem->bound, rows * sizeof(double));
    problem->u_jump_there = any_put(device, problem->u_jump, rows * sizeof(double));
    problem->u_draw_there = any_put(device, problem->u_draw, rows * sizeof(double));
}

static void problem_release(struct problem *problem)
{
    void *const there[] = {problem->x_there,     problem->temperature_there, problem->left_out_there,
                           problem->bound_there, problem->u_jump_there,      problem->u_draw_there};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        any_backend->release(problem->device, there[i]);
    free(problem->x), free(problem->w), free(problem->bound), free(problem->bias), free(problem->left_out);
    free(problem->u_jump), free(problem->u_draw), free(problem->inverse_temperature);
}

static int tiles_of(int n_out)
{
    return (n_out + VOCABULARY_TILE - 1) / VOCABULARY_TILE;
}

static void outcome_init(struct outcome *outcome, const struct shape *shape)
{
    int rows = shape->rows;
    outcome->groups = cleared((size_t)VOCABULARY_GROUPS * rows, sizeof *outcome->groups);
    outcome->tiles = cleared((size_t)tiles_of(shape->n_out) * rows, sizeof *outcome->tiles);
    outcome->choice = cleared(rows, sizeof *outcome->choice);
    outcome->jump_probability = cleared(rows, sizeof(double));
    outcome->drawn = cleared(rows, sizeof *outcome->drawn);
}

static void outcome_release(struct outcome *outcome)
{
    free(outcome->groups), free(outcome->tiles), free(outcome->choice);
    free(outcome->jump_probability), free(outcome->drawn);
}

/* Column at which group `group` begins: whole tiles, nearly equal; some groups are empty in a small
 * vocabulary. */
static int group_begin(int n_out, int group)
{
    int column = tiles_of(n_out) * group / VOCABULARY_GROUPS * VOCABULARY_TILE;
    return group == VOCABULARY_GROUPS || column > n_out ? n_out : column;
}

/* One rank's share of a run, and what all ranks write to. */
struct rank {
    struct weight *weight;
    struct head_scan scan;
};
struct run {
    struct device *device;
    const struct problem *problem;
    int n_ranks;
    struct rank ranks[VOCABULARY_GROUPS];
    struct exp_sum *groups;
    float *left_out_logit;
    struct row_choice *choice;
    double *jump_probability;
};

static struct weight *make_weight(const struct run *run, int first, int n)
{
    const struct shape *shape = run->problem->shape;
    const struct matrix_view view = {.data = run->problem->w + (int64_t)first * shape->n_in,
                                     .dtype = DTYPE_F32,
                                     .rows = n,
                                     .columns = shape->n_in,
                                     .row_stride = shape->n_in};
    struct weight *weight = NULL;
    struct error error = {0};
    ck_assert_msg(any_backend->weight_create(run->device, WEIGHT_HEAD, &view, 1, NULL, 1, &weight, &error) ==
                      STATUS_OK,
                  "%s", error.text);
    return weight;
}

static void rank_scan(struct run *run, int index)
{
    const struct problem *problem = run->problem;
    int n_out = problem->shape->n_out, rows = problem->shape->rows;
    int n_groups = VOCABULARY_GROUPS / run->n_ranks, first_group = index * n_groups;
    int first = group_begin(n_out, first_group), n = group_begin(n_out, first_group + n_groups) - first;
    int32_t columns[VOCABULARY_GROUPS + 1];
    for (int g = 0; g <= n_groups; g++)
        columns[g] = group_begin(n_out, first_group + g) - first;
    struct rank *rank = &run->ranks[index];
    rank->weight = make_weight(run, first, n);
    rank->scan =
        (struct head_scan){.x = problem->x_there,
                           .rows = rows,
                           .weight = rank->weight,
                           .bias = any_put(run->device, problem->bias + first, n * sizeof(float)),
                           .first_column = first,
                           .n_groups = n_groups,
                           .group_column = any_put(run->device, columns, (n_groups + 1) * sizeof(int32_t)),
                           .inverse_temperature = problem->temperature_there,
                           .left_out = problem->left_out_there,
                           .tiles = any_backend->allocate(run->device, ((size_t)tiles_of(n) * rows + 1) *
                                                                           sizeof(struct exp_sum)),
                           .groups = run->groups + first_group * rows,
                           .left_out_logit = run->left_out_logit + index * rows};
    any_backend->head_scan(run->device, &rank->scan);
}

static void rank_draw(struct run *run, int index, struct outcome *outcome)
{
    struct rank *rank = &run->ranks[index];
    size_t rows = (size_t)rank->scan.rows;
    struct drawn_token *own = cleared(rows, sizeof *own);
    struct head_draw draw = {.scan = rank->scan,
                             .first_group = index * rank->scan.n_groups,
                             .choice = run->choice,
                             .drawn = any_backend->allocate(run->device, rows * sizeof *own)};
    any_backend->head_draw(run->device, &draw);
    any_get(run->device, draw.drawn, rows * sizeof *own, own);
    for (size_t i = 0; i < rows; i++)
        if (own[i].token >= 0) {
            ck_assert_int_eq(outcome->drawn[i].token, -1); /* one owner */
            outcome->drawn[i] = own[i];
        }
    free(own);
    any_backend->release(run->device, draw.drawn);
}

static void choose(struct run *run)
{
    const struct problem *problem = run->problem;
    struct head_choose choose = {.rows = problem->shape->rows,
                                 .n_groups = VOCABULARY_GROUPS,
                                 .groups = run->groups,
                                 .n_ranks = run->n_ranks,
                                 .left_out_logit = run->left_out_logit,
                                 .bound = problem->bound_there,
                                 .u_jump = problem->u_jump_there,
                                 .u_draw = problem->u_draw_there,
                                 .choice = run->choice,
                                 .jump_probability = run->jump_probability};
    any_backend->head_choose(run->device, &choose);
}

static void run_begin(struct run *run, const struct problem *problem, int n_ranks)
{
    struct device *device = problem->device;
    size_t rows = (size_t)problem->shape->rows;
    memset(run, 0, sizeof *run);
    run->device = device, run->problem = problem, run->n_ranks = n_ranks;
    run->groups = any_backend->allocate(device, VOCABULARY_GROUPS * rows * sizeof *run->groups);
    run->left_out_logit = any_backend->allocate(device, n_ranks * rows * sizeof(float));
    run->choice = any_backend->allocate(device, rows * sizeof *run->choice);
    run->jump_probability = any_backend->allocate(device, rows * sizeof(double));
}

static void run_end(struct run *run)
{
    struct device *device = run->device;
    for (int i = 0; i < run->n_ranks; i++) {
        any_backend->release(device, (void *)run->ranks[i].scan.bias);
        any_backend->release(device, (void *)run->ranks[i].scan.group_column);
        any_backend->release(device, run->ranks[i].scan.tiles);
        any_backend->weight_free(device, run->ranks[i].weight);
    }
    any_backend->release(device, run->groups), any_backend->release(device, run->left_out_logit);
    any_backend->release(device, run->choice), any_backend->release(device, run->jump_probability);
}

/* Scan, choose and draw; what came of it. */
static void run_all(const struct problem *problem, int n_ranks, struct outcome *outcome)
{
    struct run run;
    size_t rows = (size_t)problem->shape->rows;
    run_begin(&run, problem, n_ranks);
    for (int i = 0; i < n_ranks; i++)
        rank_scan(&run, i);
    choose(&run);
    any_get(run.device, run.groups, VOCABULARY_GROUPS * rows * sizeof *outcome->groups, outcome->groups);
    any_get(run.device, run.choice, rows * sizeof *outcome->choice, outcome->choice);
    any_get(run.device, run.jump_probability, rows * sizeof(double), outcome->jump_probability);
    for (size_t i = 0; i < rows; i++)
        outcome->drawn[i] = (struct drawn_token){-1, 0};
    for (int i = 0; i < n_ranks; i++)
        rank_draw(&run, i, outcome);
    if (n_ranks == 1)
        any_get(run.device, run.ranks[0].scan.tiles,
                tiles_of(problem->shape->n_out) * rows * sizeof *outcome->tiles, outcome->tiles);
    run_end(&run);
}

static double *reference_of(const struct problem *problem)
{
    const struct shape *shape = problem->shape;
    double *logits = cleared((size_t)shape->rows * shape->n_out, sizeof *logits);
    struct head_scan scan = {.x = problem->x,
                             .rows = shape->rows,
                             .bias = problem->bias,
                             .inverse_temperature = problem->inverse_temperature};
    reference_logits(&scan, problem->w, shape->n_out, shape->n_in, logits);
    return logits;
}

static void check_row(const struct problem *problem, const struct outcome *outcome, int row,
                      const double *logits)
{
    struct reference_choice expected =
        reference_choose(logits, problem->shape->n_out, problem->left_out[row], problem->bound[row],
                         problem->u_jump[row], problem->u_draw[row]);
    const struct drawn_token *drawn = &outcome->drawn[row];
    double off = fabs(outcome->jump_probability[row] - expected.jump_probability);
    largest.jump = fmax(largest.jump, off);
    ck_assert_double_le(off, margin());
    if (expected.margin < margin())
        return;
    ck_assert_msg(drawn->token == expected.token, "row %d drew %d, expected %d", row, drawn->token,
                  expected.token);
    if (drawn->token < 0)
        return;
    off = fabs(drawn->logit - logits[drawn->token]);
    largest.logit = fmax(largest.logit, off);
    ck_assert_double_le(off, logit_tolerance(problem->shape->n_in));
    double log_probability = drawn->logit - outcome->choice[row].log_total;
    ck_assert_double_le(fabs(log_probability - expected.log_probability),
                        logit_tolerance(problem->shape->n_in));
}

/*
 * The draw sees the scan's bits: no drawn logit is above the kept maximum of its tile, and that of the tile's
 * clearly largest token is this maximum, bit for bit. Returns how many rows drew the largest.
 */
static int check_bits_of_draw(const struct problem *problem, const struct outcome *outcome, int row,
                              const double *logits)
{
    int token = outcome->drawn[row].token, tile = token / VOCABULARY_TILE;
    float max = outcome->tiles[(size_t)row * tiles_of(problem->shape->n_out) + tile].max;
    double apart = 2 * logit_tolerance(problem->shape->n_in);
    if (token < 0)
        return 0;
    ck_assert(outcome->drawn[row].logit <= max);
    for (int i = tile * VOCABULARY_TILE; i < (tile + 1) * VOCABULARY_TILE && i < problem->shape->n_out; i++)
        if (i != token && i != problem->left_out[row] && logits[i] > logits[token] - apart)
            return 0;
    ck_assert_msg(outcome->drawn[row].logit == max, "row %d: the draw's %.9g is not the scan's %.9g", row,
                  (double)outcome->drawn[row].logit, (double)max);
    return 1;
}

static void check_draws(const struct any_variant *variant, const struct shape *shape, int *n_largest)
{
    struct problem problem;
    struct outcome first, other;
    problem_init(&problem, variant, shape);
    problem_upload(&problem);
    outcome_init(&first, shape), outcome_init(&other, shape);
    double *logits = reference_of(&problem);
    run_all(&problem, 1, &first);
    for (int row = 0; row < shape->rows; row++) {
        check_row(&problem, &first, row, logits + (size_t)row * shape->n_out);
        *n_largest += check_bits_of_draw(&problem, &first, row, logits + (size_t)row * shape->n_out);
    }
    for (int n_ranks = 2; n_ranks <= VOCABULARY_GROUPS; n_ranks *= 2) {
        run_all(&problem, n_ranks, &other);
        check_same_bits(first.groups, other.groups, sizeof *first.groups * VOCABULARY_GROUPS * shape->rows,
                        "groups");
        check_same_bits(first.jump_probability, other.jump_probability, sizeof(double) * shape->rows,
                        "jumps");
        check_same_bits(first.drawn, other.drawn, sizeof *first.drawn * shape->rows, "draws");
    }
    outcome_release(&first), outcome_release(&other);
    free(logits);
    problem_release(&problem);
    any_close(problem.device);
}

START_TEST(test_draws_follow_the_law)
{
    const struct any_variant *variants;
    for (int v = 0; v < any_formats(&variants); v++) {
        int n_largest = 0;
        check_draws(&variants[v], &shapes[_i], &n_largest);
        ck_assert(shapes[_i].rows < 50 || n_largest >= 2);
    }
}
END_TEST

/* A row's sums and draw are the same bits among 130 rows, 70, 20 and alone. */
START_TEST(test_a_row_does_not_depend_on_others)
{
    static const struct shape all = {130, 389, 72};
    const struct any_variant *variants;
    for (int v = 0; v < any_formats(&variants); v++) {
        struct problem problem, part;
        struct outcome whole, some;
        problem_init(&problem, &variants[v], &all);
        problem_upload(&problem);
        outcome_init(&whole, &all), outcome_init(&some, &all);
        run_all(&problem, 1, &whole);
        for (int n = 1, first = 129; n <= 70; n = n * 7 / 2 + 13, first -= 27) {
            struct shape shape = {n, all.n_out, all.n_in};
            first = first + n > all.rows ? all.rows - n : first;
            part = problem;
            part.shape = &shape;
            part.x_there =
                (char *)problem.x_there +
                (size_t)first * all.n_in * dtype_bytes(any_backend->activation_type(problem.device));
            part.temperature_there = (float *)problem.temperature_there + first;
            part.left_out_there = (int32_t *)problem.left_out_there + first;
            part.bound_there = (double *)problem.bound_there + first;
            part.u_jump_there = (double *)problem.u_jump_there + first;
            part.u_draw_there = (double *)problem.u_draw_there + first;
            run_all(&part, 1, &some);
            check_same_bits(some.drawn, whole.drawn + first, sizeof *some.drawn * n, "draws");
            for (int g = 0; g < VOCABULARY_GROUPS; g++)
                check_same_bits(some.groups + g * n, whole.groups + g * all.rows + first,
                                sizeof *some.groups * n, "groups");
        }
        outcome_release(&whole), outcome_release(&some);
        problem_release(&problem);
        any_close(problem.device);
    }
}
END_TEST

/* All rows have the law of row 0, without temperature. */
static void make_alike(struct problem *problem, int left_out)
{
    for (int i = 0; i < problem->shape->rows; i++) {
        memcpy(problem->x + i * problem->shape->n_in, problem->x, problem->shape->n_in * sizeof(float));
        problem->inverse_temperature[i] = 1;
        problem->left_out[i] = left_out;
        problem->bound[i] = i % 2 ? -1 : 1e9;
        problem->u_jump[i] = 0;
    }
}

/* Many uniforms on one law, u over a grid and at its ends: every token by its exact share, the left-out one
 * never. */
START_TEST(test_every_uniform_finds_its_token)
{
    enum { ROWS = 1000, N_OUT = 300, N_IN = 8, LEFT_OUT = 131 };
    static const struct shape shape = {ROWS, N_OUT, N_IN};
    const struct any_variant *variants;
    for (int v = 0; v < any_formats(&variants); v++) {
        struct problem problem;
        struct outcome outcome;
        problem_init(&problem, &variants[v], &shape);
        outcome_init(&outcome, &shape);
        make_alike(&problem, LEFT_OUT);
        for (int i = 0; i < ROWS; i++)
            problem.u_draw[i] = i == ROWS - 1 ? 1 - 0x1p-53 : (double)i / ROWS;
        problem_upload(&problem);
        double *logits = reference_of(&problem);
        run_all(&problem, 2, &outcome);
        for (int row = 0; row < ROWS; row++) {
            check_row(&problem, &outcome, row, logits + (size_t)row * N_OUT);
            ck_assert_int_ge(outcome.drawn[row].token, 0);
            ck_assert_int_ne(outcome.drawn[row].token, LEFT_OUT);
        }
        ck_assert_int_eq(outcome.drawn[0].token, 0);
        ck_assert_int_eq(outcome.drawn[ROWS - 1].token, N_OUT - 1);
        outcome_release(&outcome);
        free(logits);
        problem_release(&problem);
        any_close(problem.device);
    }
}
END_TEST

/* Pearson's statistic of counts against the law of one row; *n: cells. */
static double chi_square(const double *logits, int n_out, int left_out, const int *counts, int n_draws,
                         int *n)
{
    double total = 0, statistic = 0, expected = 0;
    int seen = 0;
    for (int i = 0; i < n_out; i++)
        total += i == left_out ? 0 : exp(logits[i]);
    *n = 0;
    for (int i = 0; i < n_out; i++) {
        expected += i == left_out ? 0 : exp(logits[i]) / total * n_draws;
        seen += counts[i];
        if (expected < 5 && i + 1 < n_out)
            continue; /* cells of at least five */
        statistic += (seen - expected) * (seen - expected) / expected;
        expected = 0, seen = 0;
        ++*n;
    }
    return statistic;
}

START_TEST(test_draws_have_the_law_s_distribution)
{
    enum { ROWS = 600, RUNS = 10, N_OUT = 300, N_IN = 8, LEFT_OUT = 7 };
    static const struct shape shape = {ROWS, N_OUT, N_IN};
    const struct any_variant *variants;
    (void)any_formats(&variants);
    int counts[N_OUT] = {0}, cells;
    struct problem problem;
    struct outcome outcome;
    problem_init(&problem, &variants[any_backend->on_host ? 0 : 1], &shape);
    outcome_init(&outcome, &shape);
    make_alike(&problem, LEFT_OUT);
    problem_upload(&problem);
    double *logits = reference_of(&problem);
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < ROWS; i++)
            problem.u_draw[i] = philox_uniform(91, (uint32_t)run, (uint32_t)i, PHILOX_DRAW);
        any_backend->upload(problem.device, problem.u_draw_there, problem.u_draw, ROWS * sizeof(double));
        run_all(&problem, 1, &outcome);
        for (int i = 0; i < ROWS; i++)
            counts[outcome.drawn[i].token]++;
    }
    double statistic = chi_square(logits, N_OUT, LEFT_OUT, counts, RUNS * ROWS, &cells);
    ck_assert_int_gt(cells, 50);
    ck_assert_msg(fabs(statistic - (cells - 1)) < 4 * sqrt(2.0 * (cells - 1)), "chi-square %g of %d cells",
                  statistic, cells);
    outcome_release(&outcome);
    free(logits);
    problem_release(&problem);
    any_close(problem.device);
}
END_TEST

/* One token has nearly all mass: of the rest, sums of exp underflow in whole tiles. */
START_TEST(test_a_law_with_one_token)
{
    enum { ROWS = 4, N_OUT = 500, TOP = 260 };
    static const struct shape shape = {ROWS, N_OUT, 3};
    const struct any_variant *variants;
    for (int v = 0; v < any_formats(&variants); v++) {
        struct problem problem;
        struct outcome outcome;
        problem_init(&problem, &variants[v], &shape);
        outcome_init(&outcome, &shape);
        problem.bias[TOP] = 5000;
        for (int i = 0; i < ROWS; i++) {
            problem.bound[i] = i < 2 ? 3 : -1;
            problem.left_out[i] = i == 0 ? TOP : -1; /* row 0 holds the token: it must stay */
            problem.u_draw[i] = i == 3 ? 1 - 0x1p-53 : 0.25;
            problem.u_jump[i] = 0;
        }
        problem_upload(&problem);
        run_all(&problem, 4, &outcome);
        ck_assert_int_eq(outcome.drawn[0].token, -1);
        ck_assert_double_eq(outcome.jump_probability[0], 0);
        for (int i = 1; i < ROWS; i++)
            ck_assert_int_eq(outcome.drawn[i].token, TOP);
        outcome_release(&outcome);
        problem_release(&problem);
        any_close(problem.device);
    }
}
END_TEST

/* A token that its bias forbids is nobody's present token with any probability: what was there before is no
 * logit of it. */
START_TEST(test_a_left_out_token_without_mass)
{
    static const struct shape shape = {3, 300, 8};
    enum { FORBIDDEN = 150 };
    const struct any_variant *variants;
    for (int v = 0; v < any_formats(&variants); v++) {
        struct problem problem;
        struct outcome outcome;
        problem_init(&problem, &variants[v], &shape);
        outcome_init(&outcome, &shape);
        problem.bias[FORBIDDEN] = -INFINITY;
        for (int i = 0; i < shape.rows; i++)
            problem.left_out[i] = FORBIDDEN, problem.bound[i] = 3;
        problem_upload(&problem);
        run_all(&problem, 2, &outcome);
        for (int i = 0; i < shape.rows; i++)
            ck_assert_double_eq_tol(outcome.jump_probability[i], 1 - exp(-3), 1e-12);
        outcome_release(&outcome);
        problem_release(&problem);
        any_close(problem.device);
    }
}
END_TEST

START_TEST(test_logits_that_are_no_numbers_are_a_failure)
{
    static const struct shape shape = {3, 200, 8};
    const struct any_variant *variants;
    for (int v = 0; v < any_formats(&variants); v++) {
        struct problem problem;
        struct run run;
        struct error error = {0};
        problem_init(&problem, &variants[v], &shape);
        problem.x[8] = problem.x[17] = NAN; /* rows 1 and 2: the first is reported */
        problem_upload(&problem);
        run_begin(&run, &problem, 1);
        rank_scan(&run, 0);
        choose(&run);
        ck_assert_int_eq(any_backend->synchronize(problem.device, &error), STATUS_INTERNAL);
        ck_assert_str_eq(error.text, "row 1 of the head has no finite logits; is the model damaged?");
        run_end(&run);
        problem_release(&problem);
        any_backend->close(problem.device);
    }
}
END_TEST

static void print_largest(void)
{
    printf("head: the largest deviations are %.3g of a jump's probability, %.3g of a logit\n", largest.jump,
           largest.logit);
}

Suite *any_head_suite(void)
{
    Suite *suite = suite_create("head, any backend");
    TCase *tests = tcase_create("head");
    tcase_add_unchecked_fixture(tests, NULL, print_largest);
    tcase_add_loop_test(tests, test_draws_follow_the_law, 0, N_SHAPES);
    tcase_add_test(tests, test_a_row_does_not_depend_on_others);
    tcase_add_test(tests, test_every_uniform_finds_its_token);
    tcase_add_test(tests, test_draws_have_the_law_s_distribution);
    tcase_add_test(tests, test_a_law_with_one_token);
    tcase_add_test(tests, test_a_left_out_token_without_mass);
    tcase_add_test(tests, test_logits_that_are_no_numbers_are_a_failure);
    suite_add_tcase(suite, tests);
    return suite;
}
