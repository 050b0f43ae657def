/* Shards: together they are the whole, and their leaves are the same for every number of ranks that divides
 * them. */
#include <check.h>
#include <stdlib.h>

#include "common/model/shard.h"

static struct model_config config_of(int hidden, int n_heads, int n_ids)
{
    struct model_config config = {
        .hidden = hidden, .n_heads = n_heads, .head_size = hidden / n_heads, .n_ids = n_ids};
    return config;
}

static const struct {
    int hidden, n_heads, n_ids;
} shapes[] = {{768, 12, 50257}, {2048, 32, 50257}, {64, 4, 512}, {16, 2, 40},
              {192, 4, 2048},   {32, 1, 129},      {90, 5, 389}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(ranges_cover_everything_once)
{
    struct model_config config = config_of(shapes[_i].hidden, shapes[_i].n_heads, shapes[_i].n_ids);
    for (int n_ranks = 1; n_ranks <= 12; n_ranks++) {
        struct shard before = {0};
        for (int rank = 0; rank < n_ranks; rank++) {
            struct shard shard;
            shard_init(&shard, &config, rank, n_ranks);
            ck_assert_int_eq(shard.heads.first, before.heads.end);
            ck_assert_int_eq(shard.hidden.first, before.hidden.end);
            ck_assert_int_eq(shard.columns.first, before.columns.end);
            ck_assert_int_eq(shard.groups.first, before.groups.end);
            ck_assert_int_eq(shard.columns.first % VOCABULARY_TILE && range_size(shard.columns), 0);
            ck_assert_int_eq(shard.group_column[range_size(shard.groups)], range_size(shard.columns));
            ck_assert_int_eq(shard.attention_leaf[shard.n_leaves],
                             range_size(shard.heads) * config.head_size);
            ck_assert_int_eq(shard.hidden_leaf[shard.n_leaves], range_size(shard.hidden));
            before = shard;
        }
        ck_assert_int_eq(before.heads.end, config.n_heads);
        ck_assert_int_eq(before.hidden.end, 4 * config.hidden);
        ck_assert_int_eq(before.columns.end, config.n_ids);
        ck_assert_int_eq(before.groups.end, VOCABULARY_GROUPS);
    }
}
END_TEST

/* Where leaf border i of all, counted over the ranks, lies among the model's inputs. */
static int border(const struct model_config *config, int n_ranks, int leaf)
{
    int per_rank = MATMUL_LEAVES / n_ranks, rank = leaf / per_rank < n_ranks ? leaf / per_rank : n_ranks - 1;
    struct shard shard;
    shard_init(&shard, config, rank, n_ranks);
    return shard.heads.first * config->head_size + shard.attention_leaf[leaf - rank * per_rank];
}

START_TEST(leaves_do_not_depend_on_the_ranks)
{
    struct model_config config = config_of(shapes[_i].hidden, shapes[_i].n_heads, shapes[_i].n_ids);
    for (int n_ranks = 1; n_ranks <= MATMUL_LEAVES; n_ranks *= 2)
        for (int leaf = 0; leaf <= MATMUL_LEAVES; leaf++)
            ck_assert_int_eq(border(&config, n_ranks, leaf), border(&config, 1, leaf));
}
END_TEST

/* The ranks' parts of every tensor add up to it, for any number of ranks. */
START_TEST(ranks_share_all_of_a_model)
{
    struct model_config config = config_of(768, 12, 50257);
    config.architecture = ARCHITECTURE_FS_DFM;
    config.n_blocks = 1;
    config.condition = 128;
    for (int n_ranks = 1; n_ranks <= 16; n_ranks++) {
        for (int i = 0; i < model_layout_count(&config); i++) {
            struct model_tensor tensor;
            int64_t total = 0;
            model_layout_at(&config, i, &tensor);
            for (int rank = 0; rank < n_ranks; rank++) {
                struct shard shard;
                shard_init(&shard, &config, rank, n_ranks);
                total += shard_extent(&shard, &config, &tensor);
            }
            const int64_t extent = tensor.shape[tensor.sharding == SHARDED_INPUT];
            ck_assert_int_eq(total, tensor.sharding == SHARDED_NOT ? n_ranks * extent : extent);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shard");
    TCase *cases = tcase_create("shard");
    tcase_add_loop_test(cases, ranges_cover_everything_once, 0, N_SHAPES);
    tcase_add_loop_test(cases, leaves_do_not_depend_on_the_ranks, 0, N_SHAPES);
    tcase_add_test(cases, ranks_share_all_of_a_model);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
