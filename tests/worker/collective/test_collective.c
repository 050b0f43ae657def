/* The collectives of MPI: right sums, the same bits on all ranks, in the order of the tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/worker/mpi_main.h"

static const struct backend *backend = &backend_cpu;

static struct device *open_device(void)
{
    struct error error;
    struct device *device = NULL;
    const struct device_options options = {
        .n_threads = 1, .max_rows = 16, .max_positions = 16, .max_columns = 16};
    ck_assert_int_eq(backend->open(&device, &options, &error), STATUS_OK);
    return device;
}

/* Numbers whose sum depends on the order of adding. */
static float term(int rank, int64_t i)
{
    static const float scales[] = {1e8f, -1e8f, 1.0f, 3e-5f, 7e3f, -0.25f, 1e-3f, 2e7f};
    return scales[(rank + (int)(i % 5)) % 8] * (float)(1 + i % 7);
}

static float tree_sum(int first, int n, int64_t i)
{
    float parts[64];
    for (int rank = 0; rank < n; rank++)
        parts[rank] = term(first + rank, i);
    for (int distance = 1; distance < n; distance *= 2)
        for (int at = 0; at + distance < n; at += 2 * distance)
            parts[at] += parts[at + distance];
    return parts[0];
}

enum { LARGE = (1 << 22) + 100003 }; /* more than is summed in one piece */

START_TEST(all_reduce_adds_in_the_order_of_the_tree)
{
    static const int64_t sizes[] = {0, 1, 3, 16, 1000, LARGE};
    struct device *device = open_device();
    ck_assert(ranks->table->bind(ranks, backend, device, LARGE));
    int wrong = 0;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        float *x = calloc((size_t)sizes[s] + 1, sizeof *x);
        for (int64_t i = 0; i < sizes[s]; i++)
            x[i] = term(ranks->rank, i);
        ranks->table->all_reduce(ranks, x, sizes[s]);
        for (int64_t i = 0; i < sizes[s]; i++) {
            float expected = tree_sum(0, ranks->n_ranks, i);
            wrong += memcmp(&x[i], &expected, sizeof expected) != 0;
        }
        free(x);
    }
    ranks->table->unbind(ranks);
    backend->close(device);
    ck_assert_double_eq(largest_of_ranks(ranks, wrong), 0);
    ck_assert_int_eq(ranks->status, STATUS_OK);
}
END_TEST

START_TEST(gather_keeps_the_order_of_the_ranks)
{
    int sizes[64], total = 0, wrong = 0;
    for (int rank = 0; rank < ranks->n_ranks; rank++)
        total += sizes[rank] = 4 * (rank % 3); /* some ranks have nothing */
    int32_t part[8], all[64 * 2];
    for (int i = 0; i < 2; i++)
        part[i] = 100 * ranks->rank + i;
    ranks->table->gather(ranks, part, sizes, all);
    for (int rank = 0, at = 0; rank < ranks->n_ranks; rank++)
        for (int i = 0; i < sizes[rank] / 4; i++)
            wrong += all[at++] != 100 * rank + i;
    ck_assert_double_eq(largest_of_ranks(ranks, wrong), 0);
    ck_assert_int_ge(total, 0);
}
END_TEST

START_TEST(broadcast_comes_from_rank_0)
{
    char text[64] = "";
    if (ranks->rank == 0)
        strcpy(text, "the plan");
    ranks->table->broadcast(ranks, text, sizeof text);
    ck_assert_double_eq(largest_of_ranks(ranks, strcmp(text, "the plan") != 0), 0);
}
END_TEST

START_TEST(all_ranks_of_this_machine_are_neighbours)
{
    ck_assert_int_eq(ranks->n_local, ranks->n_ranks);
    ck_assert_int_eq(ranks->local_rank, ranks->rank);
}
END_TEST

START_TEST(the_first_rank_that_failed_decides)
{
    struct error error = {0};
    int last = ranks->n_ranks - 1;
    enum status mine =
        ranks->rank == last ? error_set(&error, STATUS_DATA_LOSS, "no such tensor") : STATUS_OK;
    enum status verdict = collective_agree(ranks, mine, &error);
    int wrong = verdict != STATUS_DATA_LOSS || strstr(error.text, "no such tensor") == NULL;
    char name[32];
    snprintf(name, sizeof name, "rank %d", last);
    wrong += last > 0 && strncmp(error.text, name, strlen(name)) != 0;
    wrong += collective_agree(ranks, STATUS_OK, &error) != STATUS_OK;
    ck_assert_double_eq(largest_of_ranks(ranks, wrong), 0);
}
END_TEST

Suite *mpi_suite(void)
{
    Suite *suite = suite_create("collective");
    TCase *cases = tcase_create("mpi");
    tcase_add_test(cases, all_reduce_adds_in_the_order_of_the_tree);
    tcase_add_test(cases, gather_keeps_the_order_of_the_ranks);
    tcase_add_test(cases, broadcast_comes_from_rank_0);
    tcase_add_test(cases, all_ranks_of_this_machine_are_neighbours);
    tcase_add_test(cases, the_first_rank_that_failed_decides);
    suite_add_tcase(suite, cases);
    return suite;
}
