/* Threads stand in for processes: the word is all that they share. */
#include <check.h>
#include <pthread.h>

#include "worker/collective/shared_word.h"

enum { ROUNDS = 3000 };

static struct shared_word ball, answer;
static struct shared_word_waiting waiting;

static void *play_back(void *unused)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        if (!shared_word_wait(&ball, round, &waiting))
            break;
        shared_word_raise(&answer);
    }
    return unused;
}

START_TEST(no_raise_is_missed)
{
    pthread_t other;
    waiting.offers_core = _i;
    atomic_store(&ball.value, 0);
    atomic_store(&answer.value, 0);
    ck_assert_int_eq(pthread_create(&other, NULL, play_back, NULL), 0);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        shared_word_raise(&ball);
        ck_assert(shared_word_wait(&answer, round, &waiting));
    }
    pthread_join(other, NULL);
    ck_assert_uint_eq(atomic_load(&ball.value), ROUNDS);
    ck_assert_uint_eq(atomic_load(&answer.value), ROUNDS);
    ck_assert_uint_eq(atomic_load(&ball.n_sleeping) + atomic_load(&answer.n_sleeping), 0);
}
END_TEST

/* Comes when the other has given up looking, and sleeps. */
static void *wake_sleeper(void *context)
{
    struct shared_word *word = context;
    while (atomic_load(&word->n_sleeping) == 0)
        ;
    shared_word_raise(word);
    return NULL;
}

START_TEST(who_sleeps_is_woken)
{
    for (int i = 0; i < 20; i++) {
        struct shared_word word = {0};
        pthread_t other;
        ck_assert_int_eq(pthread_create(&other, NULL, wake_sleeper, &word), 0);
        ck_assert(shared_word_wait(&word, 0, &waiting));
        pthread_join(other, NULL);
    }
}
END_TEST

static bool give_up_at_third(void *context)
{
    return ++*(int *)context < 3;
}

START_TEST(who_looks_may_give_up)
{
    struct shared_word word = {0};
    int n_looks = 0;
    ck_assert(!shared_word_wait(&word, 0, &(struct shared_word_waiting){false, give_up_at_third, &n_looks}));
    ck_assert_int_eq(n_looks, 3);
}
END_TEST

START_TEST(what_has_changed_is_not_waited_for)
{
    struct shared_word word = {0};
    int n_looks = 0;
    shared_word_raise(&word);
    ck_assert(shared_word_wait(&word, 0, &(struct shared_word_waiting){false, give_up_at_third, &n_looks}));
    ck_assert_int_eq(n_looks, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shared word");
    TCase *cases = tcase_create("word");
    tcase_add_loop_test(cases, no_raise_is_missed, 0, 2);
    tcase_add_test(cases, who_sleeps_is_woken);
    tcase_add_test(cases, who_looks_may_give_up);
    tcase_add_test(cases, what_has_changed_is_not_waited_for);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed != 0;
}
