/* The hash table: everything that is put in is found, also while it grows and what is in it leaves. */
#include "common/hash.h"

#include <stdlib.h>

#include "tests/common/suites.h"

enum { N_THINGS = 5000 };

struct thing {
    struct hash_node node;
    uint64_t key;
};

static bool has_key(const struct hash_node *node, const void *key)
{
    return ((const struct thing *)node)->key == *(const uint64_t *)key;
}

static struct thing *find(const struct hash_table *table, uint64_t key)
{
    return (struct thing *)hash_table_find(table, hash_number(key), has_key, &key);
}

static struct thing *make_things(struct hash_table *table)
{
    struct thing *things = calloc(N_THINGS, sizeof *things);
    for (uint64_t i = 0; i < N_THINGS; i++) {
        things[i].key = i * 64; /* neighbours of a power of two, as numbers of slots are */
        ck_assert(hash_table_add(table, &things[i].node, hash_number(things[i].key)));
    }
    return things;
}

START_TEST(things_are_found_while_the_table_grows_and_shrinks)
{
    struct hash_table table = {0};
    ck_assert_ptr_null(find(&table, 7));
    struct thing *things = make_things(&table);
    for (size_t i = 0; i < N_THINGS; i++)
        ck_assert_ptr_eq(find(&table, things[i].key), &things[i]);
    ck_assert_ptr_null(find(&table, 1));
    for (size_t i = 0; i < N_THINGS; i += 2)
        hash_table_remove(&table, &things[i].node);
    for (size_t i = 0; i < N_THINGS; i++)
        ck_assert_ptr_eq(find(&table, things[i].key), i % 2 ? &things[i] : NULL);
    ck_assert_uint_eq(table.n, N_THINGS / 2);
    hash_table_release(&table);
    ck_assert_ptr_null(find(&table, 64));
    free(things);
}
END_TEST

/* Two keys of one hash are two things. */
START_TEST(a_collision_is_no_match)
{
    struct hash_table table = {0};
    struct thing one = {.key = 1}, two = {.key = 2};
    ck_assert(hash_table_add(&table, &one.node, 42));
    ck_assert(hash_table_add(&table, &two.node, 42));
    ck_assert_ptr_eq(hash_table_find(&table, 42, has_key, &one.key), &one.node);
    ck_assert_ptr_eq(hash_table_find(&table, 42, has_key, &two.key), &two.node);
    hash_table_remove(&table, &one.node);
    ck_assert_ptr_null(hash_table_find(&table, 42, has_key, &one.key));
    ck_assert_ptr_eq(hash_table_find(&table, 42, has_key, &two.key), &two.node);
    hash_table_release(&table);
}
END_TEST

static size_t longest_chain(const struct hash_table *table)
{
    size_t longest = 0;
    for (size_t i = 0; i < table->n_buckets; i++) {
        size_t n = 0;
        for (const struct hash_node *node = table->buckets[i]; node; node = node->next)
            n++;
        longest = n > longest ? n : longest;
    }
    return longest;
}

/* So a find takes constant time whatever is in it. */
START_TEST(chains_stay_short)
{
    struct hash_table table = {0};
    struct thing *things = make_things(&table);
    ck_assert_uint_ge(table.n_buckets, N_THINGS);
    ck_assert_uint_le(longest_chain(&table), 9);
    hash_table_release(&table);
    free(things);
}
END_TEST

START_TEST(every_node_is_visited_once_and_may_leave_meanwhile)
{
    struct hash_table table = {0};
    struct thing *things = make_things(&table);
    size_t n = 0;
    for (struct hash_node *node = hash_table_next(&table, NULL), *next; node; node = next) {
        next = hash_table_next(&table, node);
        hash_table_remove(&table, node);
        n++;
    }
    ck_assert_uint_eq(n, N_THINGS);
    ck_assert_uint_eq(table.n, 0);
    ck_assert_ptr_null(hash_table_next(&table, NULL));
    hash_table_release(&table);
    free(things);
}
END_TEST

START_TEST(strings_that_differ_in_one_letter_differ_in_their_low_bits)
{
    unsigned seen = 0;
    for (char letter = 'a'; letter <= 'z'; letter++) {
        const char name[] = {'c', 'l', 'i', 'e', 'n', 't', '-', letter, '\0'};
        seen |= 1u << (hash_string(name) & 31);
    }
    ck_assert_int_ge(__builtin_popcount(seen), 12);
    ck_assert_uint_ne(hash_string(""), hash_string("a"));
}
END_TEST

Suite *hash_suite(void)
{
    Suite *suite = suite_create("hash");
    TCase *tests = tcase_create("hash");
    tcase_add_test(tests, things_are_found_while_the_table_grows_and_shrinks);
    tcase_add_test(tests, a_collision_is_no_match);
    tcase_add_test(tests, chains_stay_short);
    tcase_add_test(tests, every_node_is_visited_once_and_may_leave_meanwhile);
    tcase_add_test(tests, strings_that_differ_in_one_letter_differ_in_their_low_bits);
    suite_add_tcase(suite, tests);
    return suite;
}
