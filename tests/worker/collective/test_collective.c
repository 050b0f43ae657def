/* The collectives of ranks that compute in the host's memory, MPI's and the one of shared memory: right sums,
 * the same bits on all ranks, in the order of the tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/worker/mpi_main.h"

static const struct backend *backend = &backend_cpu;

static struct collective *used; /* `ranks`, which is MPI's, or one of shared memory over it */

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
    static const int64_t sizes[] = {0, 1, 3, 16, 1000, 16384, 16385, 100003, LARGE};
    struct device *device = open_device();
    ck_assert(used->table->bind(used, backend, device, LARGE));
    int wrong = 0;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        float *x = calloc((size_t)sizes[s] + 1, sizeof *x);
        for (int64_t i = 0; i < sizes[s]; i++)
            x[i] = term(used->rank, i);
        used->table->all_reduce(used, x, sizes[s]);
        for (int64_t i = 0; i < sizes[s]; i++) {
            float expected = tree_sum(0, used->n_ranks, i);
            wrong += memcmp(&x[i], &expected, sizeof expected) != 0;
        }
        free(x);
    }
    used->table->unbind(used);
    backend->close(device);
    ck_assert_double_eq(largest_of_ranks(used, wrong), 0);
    ck_assert_int_eq(used->status, STATUS_OK);
}
END_TEST

START_TEST(gather_keeps_the_order_of_the_ranks)
{
    int sizes[64], total = 0, wrong = 0;
    for (int rank = 0; rank < used->n_ranks; rank++)
        total += sizes[rank] = 4 * (rank % 3); /* some ranks have nothing */
    int32_t part[8], all[64 * 2];
    for (int i = 0; i < 2; i++)
        part[i] = 100 * used->rank + i;
    used->table->gather(used, part, sizes, all);
    for (int rank = 0, at = 0; rank < used->n_ranks; rank++)
        for (int i = 0; i < sizes[rank] / 4; i++)
            wrong += all[at++] != 100 * rank + i;
    ck_assert_double_eq(largest_of_ranks(used, wrong), 0);
    ck_assert_int_ge(total, 0);
}
END_TEST

/* Also of more than what is sent at a time. */
START_TEST(broadcast_comes_from_rank_0)
{
    enum { MOST = 700001 };
    static const size_t sizes[] = {1, 9, 64, 1 << 18, (1 << 18) + 1, MOST};
    char *text = malloc(MOST);
    int wrong = 0;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t i = 0; i < sizes[s]; i++)
            text[i] = used->rank == 0 ? (char)(i * 7 + s) : 0;
        used->table->broadcast(used, text, sizes[s]);
        for (size_t i = 0; i < sizes[s]; i++)
            wrong += text[i] != (char)(i * 7 + s);
    }
    free(text);
    ck_assert_double_eq(largest_of_ranks(used, wrong), 0);
}
END_TEST

START_TEST(gather_takes_parts_of_any_size)
{
    enum { MOST = 200003 };
    int sizes[64], total = 0, at = 0, wrong = 0;
    for (int rank = 0; rank < used->n_ranks; rank++)
        total += sizes[rank] = rank % 2 ? MOST : 70001 * (rank % 3);
    char *part = malloc(MOST), *all = malloc((size_t)total + 1);
    for (int i = 0; i < sizes[used->rank]; i++)
        part[i] = (char)(i * 5 + used->rank);
    used->table->gather(used, part, sizes, all);
    for (int rank = 0; rank < used->n_ranks; at += sizes[rank++])
        for (int i = 0; i < sizes[rank]; i++)
            wrong += all[at + i] != (char)(i * 5 + rank);
    free(part);
    free(all);
    ck_assert_double_eq(largest_of_ranks(used, wrong), 0);
}
END_TEST

static uint32_t next_random(uint32_t *state)
{
    return *state = *state * 1664525u + 1013904223u;
}

/* Each rank takes its own time between two operations, so that none finds the others where they were. */
static void loiter(uint32_t *state)
{
    volatile unsigned work = 0;
    for (uint32_t left = (next_random(state) >> 8) % 20000; left > 0; left--)
        work += left;
}

static int sum_is_wrong(float *x, int64_t n, int turn)
{
    int wrong = 0;
    for (int64_t i = 0; i < n; i++)
        x[i] = term(used->rank, i + turn);
    used->table->all_reduce(used, x, n);
    for (int64_t i = 0; i < n; i++) {
        float expected = tree_sum(0, used->n_ranks, i + turn);
        wrong += memcmp(&x[i], &expected, sizeof expected) != 0;
    }
    return wrong;
}

/* Operations of all kinds and sizes in one order: none finds what another one left. */
START_TEST(any_operation_may_follow_any_other)
{
    enum { MOST = 40000, TURNS = 300 };
    struct device *device = open_device();
    uint32_t shared = 1, own = 77u * (uint32_t)(used->rank + 1);
    float *x = malloc(MOST * sizeof *x);
    int wrong = 0, numbers[64];
    ck_assert(used->table->bind(used, backend, device, MOST));
    for (int turn = 0; turn < TURNS; turn++) {
        uint32_t kind = (next_random(&shared) >> 8) % 4, size = (next_random(&shared) >> 8) % MOST;
        int mine = 1000 * turn + used->rank, from_0 = used->rank == 0 ? turn : -1;
        loiter(&own);
        if (kind < 2) {
            wrong += sum_is_wrong(x, kind ? size % 100 : size, turn);
        } else if (kind == 2) {
            used->table->exchange(used, &mine, sizeof mine, numbers);
            for (int rank = 0; rank < used->n_ranks; rank++)
                wrong += numbers[rank] != 1000 * turn + rank;
        } else {
            used->table->broadcast(used, &from_0, sizeof from_0);
            wrong += from_0 != turn;
        }
    }
    used->table->unbind(used);
    backend->close(device);
    free(x);
    ck_assert_double_eq(largest_of_ranks(used, wrong), 0);
}
END_TEST

static bool gives_up(void *context)
{
    (*(int *)context)++;
    return false;
}

/* Rank 0 comes late; who need not wait any longer does not. */
START_TEST(a_broadcast_that_waits_says_so)
{
    int n_looks = 0;
    char nothing = 0;
    struct collective *lonely = NULL;
    struct error error;
    if (ranks->n_ranks == 1)
        return;
    ck_assert_int_eq(collective_shm_create(ranks, &lonely, &error), STATUS_OK);
    lonely->waits = gives_up;
    lonely->waits_context = &n_looks;
    if (lonely->rank > 0)
        lonely->table->broadcast(lonely, &nothing, 1);
    ck_assert_double_eq(largest_of_ranks(ranks, n_looks != (lonely->rank > 0)), 0);
    ck_assert_double_eq(largest_of_ranks(ranks, (lonely->status == STATUS_OK) != (lonely->rank == 0)), 0);
    collective_free(lonely);
}
END_TEST

/* Where ranks cannot share memory, `auto` is MPI, and whoever asks for shared memory is told. */
START_TEST(ranks_of_several_machines_do_not_share_memory)
{
    struct error error = {0};
    struct collective *made = NULL;
    if (ranks->n_ranks == 1)
        return;
    ranks->n_local--;
    ck_assert_int_eq(collective_on_device(ranks, "auto", backend, NULL, &made, &error), STATUS_OK);
    ck_assert_ptr_null(made);
    ck_assert_int_eq(collective_on_device(ranks, "shm", backend, NULL, &made, &error), STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.text, "--collective shm: the ranks are on several machines"));
    ranks->n_local++;
    ck_assert_int_eq(collective_on_device(ranks, "auto", backend, NULL, &made, &error), STATUS_OK);
    ck_assert_str_eq(made->table->name, "shm");
    collective_free(made);
    ck_assert_int_eq(collective_on_device(ranks, "mpi", backend, NULL, &made, &error), STATUS_OK);
    ck_assert_ptr_null(made);
}
END_TEST

START_TEST(all_ranks_of_this_machine_are_neighbours)
{
    ck_assert_int_eq(used->n_local, used->n_ranks);
    ck_assert_int_eq(used->local_rank, used->rank);
}
END_TEST

START_TEST(the_first_rank_that_failed_decides)
{
    struct error error = {0};
    int last = used->n_ranks - 1;
    enum status mine = used->rank == last ? error_set(&error, STATUS_DATA_LOSS, "no such tensor") : STATUS_OK;
    enum status verdict = collective_agree(used, mine, &error);
    int wrong = verdict != STATUS_DATA_LOSS || strstr(error.text, "no such tensor") == NULL;
    char name[32];
    snprintf(name, sizeof name, "rank %d", last);
    wrong += last > 0 && strncmp(error.text, name, strlen(name)) != 0;
    wrong += collective_agree(used, STATUS_OK, &error) != STATUS_OK;
    ck_assert_double_eq(largest_of_ranks(used, wrong), 0);
}
END_TEST

static void use_mpi(void)
{
    used = ranks;
}

static void use_shared_memory(void)
{
    struct error error;
    used = ranks;
    if (ranks->n_ranks > 1)
        ck_assert_int_eq(collective_shm_create(ranks, &used, &error), STATUS_OK);
}

static void use_no_more(void)
{
    if (used != ranks)
        collective_free(used);
}

static void add_case(Suite *suite, const char *name, void (*use)(void))
{
    TCase *cases = tcase_create(name);
    tcase_add_unchecked_fixture(cases, use, use_no_more);
    tcase_add_test(cases, all_reduce_adds_in_the_order_of_the_tree);
    tcase_add_test(cases, gather_keeps_the_order_of_the_ranks);
    tcase_add_test(cases, gather_takes_parts_of_any_size);
    tcase_add_test(cases, broadcast_comes_from_rank_0);
    tcase_add_test(cases, any_operation_may_follow_any_other);
    tcase_add_test(cases, all_ranks_of_this_machine_are_neighbours);
    tcase_add_test(cases, the_first_rank_that_failed_decides);
    suite_add_tcase(suite, cases);
}

Suite *mpi_suite(void)
{
    Suite *suite = suite_create("collective");
    add_case(suite, "mpi", use_mpi);
    add_case(suite, "shm", use_shared_memory);
    TCase *cases = tcase_create("choice");
    tcase_add_test(cases, a_broadcast_that_waits_says_so);
    tcase_add_test(cases, ranks_of_several_machines_do_not_share_memory);
    suite_add_tcase(suite, cases);
    return suite;
}
