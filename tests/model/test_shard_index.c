#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/suites.h"
#include "tests/model/support.h"

#define ONE(name) "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}"
#define TWO "{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\"}}"

static char directory[PATH_ROOM];

static void set_up(void)
{
    directory_make(directory);
}

static void tear_down(void)
{
    directory_remove(directory);
}

static void write_shard(const char *name, const char *json)
{
    char path[PATH_ROOM];
    size_t n;
    unsigned char *bytes = safetensors_make(json, 4, &n);
    file_write(path_in(directory, name, path), bytes, n);
    free(bytes);
}

static void assert_not_opened(enum status wanted, const char *words)
{
    struct tensors *tensors = NULL;
    struct error error;
    assert_refused(tensors_open(directory, &tensors, &error), wanted, &error, words);
    ck_assert_ptr_null(tensors);
}

START_TEST(opens_shards_as_one_set)
{
    struct tensors *tensors;
    struct error error;
    text_write(directory, "model.safetensors.index.json", TWO);
    write_shard("m-1.safetensors", ONE("a"));
    write_shard("m-2.safetensors", ONE("b"));
    ck_assert_int_eq(tensors_open(directory, &tensors, &error), STATUS_OK);
    ck_assert_int_eq(tensors_count(tensors), 2);
    ck_assert_int_eq(tensors_file_count(tensors), 2);
    ck_assert_ptr_nonnull(strstr(tensors_find(tensors, "b")->file, "m-2.safetensors"));
    tensors_close(tensors);
}
END_TEST

START_TEST(refuses_a_name_in_two_shards)
{
    text_write(directory, "model.safetensors.index.json", TWO);
    write_shard("m-1.safetensors", ONE("a"));
    write_shard("m-2.safetensors", ONE("a"));
    assert_not_opened(STATUS_INVALID_ARGUMENT, "tensor \"a\" is also in");
}
END_TEST

START_TEST(refuses_a_tensor_that_the_index_does_not_have)
{
    text_write(directory, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"m-1.safetensors\"}}");
    write_shard("m-1.safetensors", ONE("z"));
    assert_not_opened(STATUS_INVALID_ARGUMENT, "tensor \"z\" is not in the index");
}
END_TEST

START_TEST(refuses_a_tensor_that_is_in_no_shard)
{
    text_write(directory, "model.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\"}}");
    write_shard("m-1.safetensors", ONE("a"));
    assert_not_opened(STATUS_INVALID_ARGUMENT, "tensor \"b\" is not in m-1.safetensors");
}
END_TEST

START_TEST(refuses_a_tensor_in_the_wrong_shard)
{
    text_write(directory, "model.safetensors.index.json", TWO);
    write_shard("m-1.safetensors", ONE("b"));
    write_shard("m-2.safetensors", ONE("a"));
    assert_not_opened(STATUS_INVALID_ARGUMENT, "should be in m-");
}
END_TEST

START_TEST(names_a_missing_shard)
{
    text_write(directory, "model.safetensors.index.json", TWO);
    write_shard("m-1.safetensors", ONE("a"));
    assert_not_opened(STATUS_NOT_FOUND, "m-2.safetensors");
}
END_TEST

START_TEST(refuses_an_index_beside_a_single_file)
{
    text_write(directory, "model.safetensors.index.json", TWO);
    write_shard("model.safetensors", ONE("a"));
    assert_not_opened(STATUS_FAILED_PRECONDITION, "has both");
}
END_TEST

START_TEST(says_which_file_is_missing)
{
    assert_not_opened(STATUS_NOT_FOUND, "model.safetensors");
}
END_TEST

static const struct {
    const char *index, *words;
} wrong[] = {
    {"{\"weight_map\":{\"a\":\"../m.safetensors\"}}", "a file beside the index"},
    {"{\"weight_map\":{\"a\":\"/etc/m.safetensors\"}}", "a file beside the index"},
    {"{\"weight_map\":{\"a\":\"sub/m.safetensors\"}}", "a file beside the index"},
    {"{\"weight_map\":{\"a\":\".safetensors\"}}", "a file beside the index"},
    {"{\"weight_map\":{\"a\":\"config.json\"}}", "a file beside the index"},
    {"{\"weight_map\":{\"a\":7}}", "(not a string)"},
    {"{\"weight_map\":{}}", "\"weight_map\" must be an object"},
    {"{\"weight_map\":[]}", "\"weight_map\" must be an object"},
    {"{}", "\"weight_map\" must be an object"},
    {"{\"weight_map\":{\"a\":\"m.safetensors\",\"a\":\"n.safetensors\"}}", "duplicate object key"},
    {"{", "line 1"},
    {"", "line 1"},
};

START_TEST(refuses_a_wrong_index)
{
    text_write(directory, "model.safetensors.index.json", wrong[_i].index);
    assert_not_opened(STATUS_INVALID_ARGUMENT, wrong[_i].words);
}
END_TEST

Suite *shard_index_suite(void)
{
    Suite *suite = suite_create("shards");
    TCase *tests = tcase_create("shards");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, opens_shards_as_one_set);
    tcase_add_test(tests, refuses_a_name_in_two_shards);
    tcase_add_test(tests, refuses_a_tensor_that_the_index_does_not_have);
    tcase_add_test(tests, refuses_a_tensor_that_is_in_no_shard);
    tcase_add_test(tests, refuses_a_tensor_in_the_wrong_shard);
    tcase_add_test(tests, names_a_missing_shard);
    tcase_add_test(tests, refuses_an_index_beside_a_single_file);
    tcase_add_test(tests, says_which_file_is_missing);
    tcase_add_loop_test(tests, refuses_a_wrong_index, 0, (int)(sizeof wrong / sizeof *wrong));
    suite_add_tcase(suite, tests);
    return suite;
}
