/* The laws of the published networks, against their formulas: docs/solvers.md. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "common/model/network.h"
#include "worker/model/moves.h"

static struct model_config config_of(enum architecture architecture)
{
    const bool is_mask = network_of(architecture)->sources == SOURCES_MASK;
    struct model_config config = {.architecture = architecture,
                                  .name = "m",
                                  .source = is_mask ? SOURCE_MASK : SOURCE_UNIFORM,
                                  .vocabulary = 50,
                                  .hidden = 8,
                                  .n_heads = 2,
                                  .n_blocks = 1,
                                  .condition = 4,
                                  .scheduler_exponent = 1,
                                  .trained_length = 64,
                                  .max_length = 64,
                                  .default_steps = 64,
                                  .max_steps = 512};
    if (architecture == ARCHITECTURE_BD3LM)
        config.block_size = 8;
    if (architecture == ARCHITECTURE_GIDD) {
        config.p_uniform = 0.2;
        config.t_eps = 1e-4;
    }
    struct error error = {0};
    ck_assert_msg(model_config_complete(&config, &error) == STATUS_OK, "%s", error.text);
    return config;
}

static double p_keep(const struct row_law *law, double p)
{
    double q = law->share * p + law->floor;
    return 1 - (law->from_p + law->noise) / q - law->noise_always;
}

START_TEST(noise_adds_up_to_one)
{
    for (int a = ARCHITECTURE_MDLM; a < ARCHITECTURE_COUNT; a++) {
        struct model_config config = config_of((enum architecture)a);
        for (double t = 0; t <= 1; t += 0.0625) {
            struct noise_level level = noise_at(&config, t);
            double others = config.source == SOURCE_MASK ? config.n_ids - 1 : config.n_ids;
            ck_assert_double_eq_tol(level.alpha + level.mask + others * level.other, 1, 1e-14);
        }
    }
}
END_TEST

START_TEST(times_go_from_noise_to_text)
{
    for (int a = ARCHITECTURE_MDLM; a < ARCHITECTURE_COUNT; a++) {
        struct model_config config = config_of((enum architecture)a);
        for (int i = 0; i < 16; i++)
            ck_assert_double_gt(noise_time(&config, i, 16), noise_time(&config, i + 1, 16));
        ck_assert_double_ge(noise_time(&config, 0, 16), 0.999);
        ck_assert_double_le(noise_time(&config, 16, 16), 1e-4);
    }
}
END_TEST

/* [0, 1/4, 1]: the first half of the steps goes a quarter of the way. */
START_TEST(a_time_grid_bends_the_times)
{
    struct model_config config = config_of(ARCHITECTURE_DUO);
    config.n_time_grid = 3;
    config.time_grid[1] = 0.25;
    config.time_grid[2] = 1;
    ck_assert_double_eq_tol(noise_time(&config, 4, 8), 0.75, 1e-4);
    ck_assert_double_eq_tol(noise_time(&config, 2, 8), 0.875, 1e-4);
    ck_assert_double_eq_tol(noise_time(&config, 6, 8), 0.375, 1e-4);
    ck_assert_double_eq_tol(noise_time(&config, 8, 8), 0, 1e-4);
}
END_TEST

START_TEST(a_mask_is_revealed_as_time_passes)
{
    struct model_config config = config_of(ARCHITECTURE_MDLM);
    for (int i = 0; i < 8; i++) {
        struct move move;
        double t = noise_time(&config, i, 8), s = noise_time(&config, i + 1, 8);
        move_at(&config, SOLVER_ANCESTRAL, 10, i, 8, &move);
        ck_assert_double_eq_tol(move.law[0].from_p / move.law[0].floor, (t - s) / t, 1e-12);
        ck_assert_double_eq_tol(move.limit[0], (t - s) / t, 1e-12);
        ck_assert_double_eq(move.limit[1], 0);
    }
}
END_TEST

/* Keep, draw from p, draw uniformly: the three-way mixture of the uniform posterior. */
START_TEST(uniform_noise_is_a_three_way_mixture)
{
    struct model_config config = config_of(ARCHITECTURE_DUO);
    for (int i = 0; i < 8; i++) {
        struct move move;
        double at = noise_at(&config, noise_time(&config, i, 8)).alpha,
               as = noise_at(&config, noise_time(&config, i + 1, 8)).alpha, r = at / as, v = config.n_ids;
        move_at(&config, SOLVER_ANCESTRAL, 10, i, 8, &move);
        for (double p = 0; p <= 1; p += 0.25) {
            const struct row_law *law = &move.law[1];
            double d = at * v * p + 1 - at, q = law->share * p + law->floor;
            ck_assert_double_eq_tol(p_keep(law, p), (d - 1 + r) / d, 1e-12);
            ck_assert_double_eq_tol(law->from_p / q, (as - at) / d, 1e-12);
            ck_assert_double_eq_tol(law->noise / q, (1 - r) * (1 - as) / d, 1e-12);
            ck_assert_double_le(1 - p_keep(law, p), move.limit[1] + 1e-15);
        }
    }
}
END_TEST

/* ReMDM: a revealed position is masked again with sigma, and a masked one revealed accordingly. */
START_TEST(remasking_is_remdm)
{
    struct model_config config = config_of(ARCHITECTURE_MDLM);
    struct move move;
    double at = noise_at(&config, noise_time(&config, 4, 8)).alpha,
           as = noise_at(&config, noise_time(&config, 5, 8)).alpha, sigma = fmin(0.04, (1 - as) / at);
    move_at(&config, SOLVER_REMASKING, 10, 4, 8, &move);
    ck_assert_double_eq_tol(move.law[1].noise_always, sigma, 1e-12);
    ck_assert_double_eq(move.law[1].mask_share, 1);
    ck_assert_double_eq_tol(move.limit[1], sigma, 1e-12);
    ck_assert_double_eq_tol(move.law[0].from_p / move.law[0].floor, (as - (1 - sigma) * at) / (1 - at),
                            1e-12);
}
END_TEST

START_TEST(no_limit_is_exceeded)
{
    for (int a = ARCHITECTURE_MDLM; a < ARCHITECTURE_COUNT; a++) {
        struct model_config config = config_of((enum architecture)a);
        for (int solver = 0; solver < SOLVER_COUNT; solver++) {
            int n = 16, passes = moves_count(&config, (enum solver)solver, n);
            if (!network_has_solver(network_of(config.architecture), (enum solver)solver))
                continue;
            for (int pass = 0; pass < passes; pass++) {
                struct move move;
                move_at(&config, (enum solver)solver, 16, pass, n, &move);
                ck_assert_int_eq(move.is_last, pass + 1 == passes);
                for (int kind = 0; kind < 2; kind++)
                    for (double p = 0; p <= 1 && move.law[kind].rule == ROW_MIXTURE; p += 0.1) {
                        ck_assert_double_le(1 - p_keep(&move.law[kind], p), move.limit[kind] + 1e-12);
                        ck_assert_double_ge(p_keep(&move.law[kind], p), -1e-12);
                    }
            }
        }
    }
}
END_TEST

/* Steps are shared out among the blocks; each block's last step reveals what is left. */
START_TEST(blocks_share_the_steps)
{
    struct model_config config = config_of(ARCHITECTURE_BD3LM);
    for (int n = 3; n < 50; n += 7) {
        int block = -1;
        for (int pass = 0; pass < n; pass++) {
            struct move move, next = {.first = 24};
            move_at(&config, SOLVER_ANCESTRAL, 20, pass, n, &move);
            if (pass + 1 < n)
                move_at(&config, SOLVER_ANCESTRAL, 20, pass + 1, n, &next);
            ck_assert_int_ge(move.first / 8, block);
            ck_assert_int_le(move.first / 8, block + 1);
            block = move.first / 8;
            ck_assert_int_eq(move.end, move.first + 8 < 20 ? move.first + 8 : 20);
            if (next.first != move.first)
                ck_assert_double_eq(move.limit[0], 1);
        }
        ck_assert_int_eq(block, 2);
    }
    ck_assert_int_eq(network_fewest_steps(&config, SOLVER_ANCESTRAL, 20), 3);
}
END_TEST

START_TEST(last_steps_take_one_pass_more_where_they_must)
{
    static const struct {
        enum architecture architecture;
        enum solver solver;
        int passes;
    } wanted[] = {{ARCHITECTURE_FS_DFM, SOLVER_CUMULATIVE, 8}, {ARCHITECTURE_MDLM, SOLVER_ANCESTRAL, 9},
                  {ARCHITECTURE_SEDD, SOLVER_ANALYTIC, 9},     {ARCHITECTURE_DUO, SOLVER_GREEDY, 9},
                  {ARCHITECTURE_DUO, SOLVER_ANCESTRAL, 9},     {ARCHITECTURE_DUO, SOLVER_CUMULATIVE, 8},
                  {ARCHITECTURE_UDLM, SOLVER_ANCESTRAL, 8},    {ARCHITECTURE_UDLM, SOLVER_GREEDY, 9},
                  {ARCHITECTURE_GIDD, SOLVER_ANCESTRAL, 9},    {ARCHITECTURE_BD3LM, SOLVER_ANCESTRAL, 8}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct model_config config = {.architecture = wanted[i].architecture};
        ck_assert_int_eq(moves_count(&config, wanted[i].solver, 8), wanted[i].passes);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("moves");
    TCase *cases = tcase_create("laws");
    tcase_add_test(cases, noise_adds_up_to_one);
    tcase_add_test(cases, times_go_from_noise_to_text);
    tcase_add_test(cases, a_time_grid_bends_the_times);
    tcase_add_test(cases, a_mask_is_revealed_as_time_passes);
    tcase_add_test(cases, uniform_noise_is_a_three_way_mixture);
    tcase_add_test(cases, remasking_is_remdm);
    tcase_add_test(cases, no_limit_is_exceeded);
    tcase_add_test(cases, blocks_share_the_steps);
    tcase_add_test(cases, last_steps_take_one_pass_more_where_they_must);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
