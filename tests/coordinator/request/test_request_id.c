/* Ids of requests: UUIDs of version 7, which sort by time, whoever draws them and however the clock goes. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coordinator/request/request_id.h"

enum { N_IDS = 20000, N_THREADS = 2 };

static struct request_id draw(struct request_id_source *source)
{
    struct request_id id;
    ck_assert_int_eq(request_id_draw(source, &id, NULL), STATUS_OK);
    return id;
}

static unsigned long long milliseconds_of(const struct request_id *id)
{
    unsigned long long high, low;
    ck_assert_int_eq(sscanf(id->text, "%8llx-%4llx", &high, &low), 2);
    return high << 16 | low;
}

START_TEST(an_id_is_a_uuid_of_now)
{
    struct request_id_source source = {0};
    struct timespec before, after;
    clock_gettime(CLOCK_REALTIME, &before);
    struct request_id id = draw(&source);
    clock_gettime(CLOCK_REALTIME, &after);
    ck_assert_uint_eq(strlen(id.text), REQUEST_ID_SIZE - 1);
    for (int i = 0; i < REQUEST_ID_SIZE - 1; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        ck_assert(is_dash ? id.text[i] == '-' : strchr("0123456789abcdef", id.text[i]) != NULL);
    }
    ck_assert_int_eq(id.text[14], '7');                 /* the version */
    ck_assert_ptr_nonnull(strchr("89ab", id.text[19])); /* the variant */
    unsigned long long then = milliseconds_of(&id);
    ck_assert_uint_ge(then, (unsigned long long)before.tv_sec * 1000);
    ck_assert_uint_le(then, (unsigned long long)after.tv_sec * 1000 + 999);
}
END_TEST

START_TEST(ids_sort_by_time)
{
    struct request_id_source source = {0};
    struct request_id last = draw(&source);
    for (int i = 0; i < N_IDS; i++) { /* many in one fraction of a millisecond */
        struct request_id id = draw(&source);
        ck_assert_str_gt(id.text, last.text);
        last = id;
    }
}
END_TEST

START_TEST(a_clock_that_is_set_back_changes_nothing)
{
    struct request_id_source source = {0};
    struct request_id now = draw(&source);
    atomic_store(&source.last, atomic_load(&source.last) + ((uint64_t)3600000 << 12)); /* an hour ahead */
    struct request_id later = draw(&source), last = draw(&source);
    ck_assert_uint_ge(milliseconds_of(&later), milliseconds_of(&now) + 3600000);
    ck_assert_str_gt(last.text, later.text);
}
END_TEST

START_TEST(sources_do_not_meet)
{
    struct request_id_source one = {0}, other = {0}; /* as before and after a restart */
    struct request_id first = draw(&one);
    atomic_store(&other.last, atomic_load(&one.last) - 1); /* the same time again */
    struct request_id second = draw(&other);
    ck_assert_str_ne(first.text + 19, second.text + 19); /* 62 bits of chance */
}
END_TEST

struct drawer {
    struct request_id_source *source;
    struct request_id *ids;
};

static void *draw_many(void *context)
{
    const struct drawer *drawer = context;
    for (int i = 0; i < N_IDS; i++)
        drawer->ids[i] = draw(drawer->source);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return strncmp(a, b, 18);
}

START_TEST(threads_share_a_source)
{
    static struct request_id ids[N_THREADS * N_IDS];
    struct request_id_source source = {0};
    pthread_t threads[N_THREADS];
    struct drawer drawers[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        drawers[i] = (struct drawer){&source, ids + i * N_IDS};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, draw_many, &drawers[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    qsort(ids, N_THREADS * N_IDS, sizeof *ids, compare);
    for (int i = 1; i < N_THREADS * N_IDS; i++)
        ck_assert_int_ne(strncmp(ids[i].text, ids[i - 1].text, 18), 0); /* already the first 60 bits differ */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("request_id");
    TCase *cases = tcase_create("request_id");
    tcase_add_test(cases, an_id_is_a_uuid_of_now);
    tcase_add_test(cases, ids_sort_by_time);
    tcase_add_test(cases, a_clock_that_is_set_back_changes_nothing);
    tcase_add_test(cases, sources_do_not_meet);
    tcase_add_test(cases, threads_share_a_source);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
