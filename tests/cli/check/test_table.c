/* The pages of `millrace status` and `millrace bench`. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check/bench_table.h"
#include "cli/cluster/status_table.h"
#include "tests/cli/suites.h"

static char version[] = "0.1.0", name[] = "books-mini", kind[] = "fs-dfm", source[] = "uniform",
            replica_name[] = "r0", ready[] = "ready", cpu[] = "cpu", failure[] = "rank 1 died\033[2J";

static char *status_page(size_t n_replicas)
{
    Millrace__V1__StatusResponse status = MILLRACE__V1__STATUS_RESPONSE__INIT;
    Millrace__V1__Model model = MILLRACE__V1__MODEL__INIT;
    Millrace__V1__ReplicaStatus replica = MILLRACE__V1__REPLICA_STATUS__INIT;
    Millrace__V1__ReplicaStatus *replicas[] = {&replica};
    Millrace__V1__Recent recent = MILLRACE__V1__RECENT__INIT;
    Millrace__V1__Quantiles total = MILLRACE__V1__QUANTILES__INIT, queue = total;
    char *page = NULL;
    size_t size;
    recent.seconds = 60, recent.requests_per_second = 2.1, recent.tokens_per_second = 268.8;
    recent.steps_per_second = 17.1, recent.changes_per_step = 12.31;
    total.p50_ms = 410, total.p95_ms = 830;
    recent.total = &total, recent.queue = &queue;
    status.recent = &recent;
    status.version = version, status.uptime_seconds = 11530, status.running = 1, status.accepted = 12,
    status.finished = 11;
    status.n_replicas = n_replicas, status.replicas = replicas;
    model.name = name, model.architecture = kind, model.source = source, model.parameters = 2968000;
    model.vocabulary = 2048, model.trained_length = 128, model.max_length = 1024, model.default_steps = 8;
    model.max_steps = 1024;
    replica.name = replica_name, replica.state = ready, replica.backend = cpu, replica.last_error = failure;
    replica.ranks = 2, replica.sequences = 1, replica.steps = 88, replica.restarts = 1;
    replica.tokens = 1024, replica.max_tokens = 4096, status.batch_fill = 0.913;
    FILE *out = open_memstream(&page, &size);
    status_table_print("127.0.0.1:7077", &status, &model, out);
    fclose(out);
    return page;
}

START_TEST(status_of_a_cluster)
{
    char *page = status_page(1);
    ck_assert_str_eq(page,
                     "cluster   127.0.0.1:7077, version 0.1.0, up 3 h 12 min\n"
                     "model     books-mini: fs-dfm, uniform source, 3.0 million parameters, vocabulary 2048\n"
                     "          128 tokens a text (trained length; at most 1024), 8 steps (at most 1024), "
                     "solver cumulative\n"
                     "requests  1 running, 0 queued; of 12 accepted 11 finished, 0 cancelled, 0 failed\n"
                     "last 60 s  2.1 texts/s, 269 tokens/s, 17.1 steps/s, 12.3 changes a step\n"
                     "latency   p50, p95: text 0.41 s, 0.83 s; first frame -; queue -\n"
                     "batches   91 % full while requests waited\n"
                     "\n"
                     "REPLICA  STATE     RANKS  BACKEND  SEQUENCES  BATCH      STEPS  RESTARTS\n"
                     "r0       ready         2  cpu              1   25 %         88         1\n"
                     "         last error: rank 1 died␛[2J\n");
    free(page);
}
END_TEST

START_TEST(status_without_replicas)
{
    char *page = status_page(0);
    ck_assert_ptr_nonnull(strstr(page, "\nno replica has attached yet: requests wait\n"));
    free(page);
}
END_TEST

static json_t *bench_row(int ranks, double seconds, const char *checksum)
{
    return json_pack(
        "{s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:{s:f, s:f, s:f, s:f, s:f}, s:f, s:f, s:f, s:f, s:s}", "model",
        "m", "ranks", ranks, "threads", 1, "length", 1024, "steps", 8, "seconds", seconds,
        "tokens_per_second", 1024 / seconds, "share", "matmul", 0.6, "attention", 0.2, "head", 0.1,
        "communication", 0.06, "other", 0.04, "gflops", 50.0, "ceiling_gflops", 100.0, "fraction_of_ceiling",
        0.5, "peak_memory_mib", 123.0, "checksum", checksum);
}

static char *bench_page(const char *second_checksum)
{
    char *page = NULL;
    size_t size;
    json_t *rows = json_pack("[o, o]", bench_row(1, 2.0, "aa"), bench_row(2, 1.0, second_checksum));
    FILE *out = open_memstream(&page, &size);
    bench_table_print(rows, out);
    fclose(out);
    json_decref(rows);
    return page;
}

START_TEST(bench_rows)
{
    char *page = bench_page("aa");
    ck_assert_ptr_nonnull(strstr(page, "m: one text of 1024 tokens in 8 steps\n"));
    ck_assert_ptr_nonnull(strstr(page, "2.00x"));
    ck_assert_ptr_nonnull(strstr(page, "the same text from every run (checksum aa)"));
    free(page);
    page = bench_page("bb");
    ck_assert_ptr_nonnull(strstr(page, "the texts DIFFER between the runs"));
    free(page);
}
END_TEST

Suite *table_suite(void)
{
    Suite *suite = suite_create("tables");
    TCase *cases = tcase_create("tables");
    tcase_add_test(cases, status_of_a_cluster);
    tcase_add_test(cases, status_without_replicas);
    tcase_add_test(cases, bench_rows);
    suite_add_tcase(suite, cases);
    return suite;
}
