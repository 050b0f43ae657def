#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/model/suites.h"
#include "tests/model/support.h"

#define ENTRY(dtype, shape, offsets) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static enum status open_json(const char *json, size_t n_data, struct tensors **tensors, struct error *error)
{
    size_t n;
    unsigned char *bytes = safetensors_make(json, n_data, &n);
    enum status status = tensors_open_memory(bytes, n, "m.safetensors", tensors, error);
    if (status)
        free(bytes); /* else the set points into it, and the test's end frees it */
    return status;
}

START_TEST(reads_tensors_in_the_order_of_their_data)
{
    size_t n;
    struct tensors *tensors;
    struct error error;
    unsigned char *bytes = safetensors_make(
        "{\"__metadata__\":{\"format\":\"pt\"},\"b\":" ENTRY("F32", "[2,1]", "[4,12]") ",\"none\":" ENTRY(
            "BF16", "[0,7]", "[4,4]") ",\"a\":" ENTRY("U8", "[4]", "[0,4]") ",\"s\":" ENTRY("F64", "[]",
                                                                                            "[12,20]") "}  ",
        20, &n);
    ck_assert_int_eq(tensors_open_memory(bytes, n, "m", &tensors, &error), STATUS_OK);
    ck_assert_int_eq(tensors_count(tensors), 4);
    ck_assert_str_eq(tensors_at(tensors, 0)->name, "a");
    ck_assert_str_eq(tensors_at(tensors, 1)->name, "none");
    ck_assert_str_eq(tensors_at(tensors, 2)->name, "b");
    const struct tensor *b = tensors_find(tensors, "b");
    ck_assert_int_eq(b->n_dimensions, 2);
    ck_assert_int_eq(b->shape[0], 2);
    ck_assert_uint_eq(b->size_bytes, 8);
    ck_assert_int_eq(*(const unsigned char *)b->data, 4);
    ck_assert_int_eq(tensors_find(tensors, "s")->n_dimensions, 0);
    ck_assert_ptr_null(tensors_find(tensors, "c"));
    ck_assert_str_eq(tensors_metadata(tensors, "format"), "pt");
    ck_assert_ptr_null(tensors_metadata(tensors, "other"));
    tensors_close(tensors);
    free(bytes);
}
END_TEST

static const struct {
    const char *json;
    size_t n_data;
    const char *words;
} wrong[] = {
    {"[]", 0, "must be a JSON object"},
    {"{\"a\":", 0, "header, byte"},
    {"{\"a\":{}}", 0, "tensor \"a\": must be an object of exactly"},
    {"{\"a\":7}", 0, "tensor \"a\": must be an object of exactly"},
    {"{\"a\":" ENTRY("F31", "[1]", "[0,4]") "}", 4, "dtype \"F31\" is unknown"},
    {"{\"a\":{\"dtype\":1,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "\"dtype\" must be a string"},
    {"{\"a\":" ENTRY("F32", "7", "[0,4]") "}", 4, "\"shape\" must be an array"},
    {"{\"a\":" ENTRY("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "at most 8"},
    {"{\"a\":" ENTRY("F32", "[-1]", "[0,4]") "}", 4, "shape[0] must be a whole number"},
    {"{\"a\":" ENTRY("F32", "[1.0]", "[0,4]") "}", 4, "shape[0] must be a whole number"},
    {"{\"a\":" ENTRY("F32", "[4294967296,4294967296]", "[0,4]") "}", 4, "does not fit in 64 bits"},
    {"{\"a\":" ENTRY("F32", "[4611686018427387905]", "[0,4]") "}", 4, "does not fit in 64 bits"},
    {"{\"a\":" ENTRY("F32", "[1]", "[0]") "}", 4, "must be two whole numbers"},
    {"{\"a\":" ENTRY("F32", "[1]", "[0,\"4\"]") "}", 4, "must be two whole numbers"},
    {"{\"a\":" ENTRY("F32", "[1]", "[-4,0]") "}", 4, "not within the 4 bytes"},
    {"{\"a\":" ENTRY("F32", "[1]", "[4,0]") "}", 4, "not within the 4 bytes"},
    {"{\"a\":" ENTRY("F32", "[1]", "[4,8]") "}", 4, "not within the 4 bytes"},
    {"{\"a\":" ENTRY("F32", "[1]", "[0,9223372036854775807]") "}", 4, "not within the 4 bytes"},
    {"{\"a\":" ENTRY("F32", "[2]", "[0,4]") "}", 4, "hold 4 bytes, dtype and shape need 8"},
    {"{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"b\":" ENTRY("F32", "[1]", "[2,6]") "}", 6,
     "\"b\" overlaps tensor \"a\""},
    {"{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"b\":" ENTRY("F32", "[1]", "[0,4]") "}", 4, "overlaps"},
    {"{\"a\":" ENTRY("F32", "[1]", "[4,8]") "}", 8, "a hole of 4 bytes"},
    {"{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"b\":" ENTRY("F32", "[1]", "[6,10]") "}", 10,
     "a hole of 2 bytes"},
    {"{\"a\":" ENTRY("F32", "[1]", "[0,4]") "}", 5, "1 bytes behind the last tensor"},
    {"{}", 1, "1 bytes behind the last tensor"},
    {"{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"a\":" ENTRY("F32", "[1]", "[4,8]") "}", 8,
     "duplicate object key"},
    {"{\"\":" ENTRY("F32", "[1]", "[0,4]") "}", 4, "name has 0 bytes"},
    {"{\"a\\nb\":" ENTRY("F32", "[1]", "[0,4]") "}", 4, "control character"},
    {"{\"__metadata__\":[]}", 0, "\"__metadata__\" must be an object"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "\"k\" must be a string"},
};

START_TEST(refuses_what_is_wrong)
{
    struct tensors *tensors = NULL;
    struct error error;
    assert_refused(open_json(wrong[_i].json, wrong[_i].n_data, &tensors, &error), STATUS_INVALID_ARGUMENT,
                   &error, wrong[_i].words);
    ck_assert_msg(strncmp(error.text, "m.safetensors: ", 15) == 0, "\"%s\" names no file", error.text);
    ck_assert_ptr_null(tensors);
}
END_TEST

START_TEST(refuses_an_absurd_header_size)
{
    static const uint64_t sizes[] = {5,          100,       1 << 20,    17 << 20,
                                     UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    struct tensors *tensors;
    struct error error;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char bytes[12] = {[8] = '{', '}', ' ', ' '};
        memcpy(bytes, &sizes[i], sizeof *sizes);
        assert_refused(tensors_open_memory(bytes, sizeof bytes, "m", &tensors, &error),
                       STATUS_INVALID_ARGUMENT, &error, "the header says it has");
    }
}
END_TEST

/* A header of brackets only must end in a sentence, not in a stack that is used up. */
START_TEST(refuses_deep_nesting)
{
    enum { DEPTH = 1 << 20 };
    struct tensors *tensors;
    struct error error;
    char *json = malloc(DEPTH + 1);
    memset(json, '[', DEPTH);
    json[DEPTH] = '\0';
    assert_refused(open_json(json, 0, &tensors, &error), STATUS_INVALID_ARGUMENT, &error, "parsing depth");
    free(json);
}
END_TEST

START_TEST(refuses_every_beginning)
{
    static const char json[] = "{\"a\":" ENTRY("F32", "[3]", "[0,12]") "}";
    struct tensors *tensors;
    struct error error;
    size_t size;
    unsigned char *bytes = safetensors_make(json, 12, &size);
    for (size_t n = 0; n < size; n++) {
        unsigned char *copy = malloc(n + 1);
        memcpy(copy, bytes, n);
        ck_assert_int_eq(tensors_open_memory(copy, n, "m", &tensors, &error), STATUS_INVALID_ARGUMENT);
        free(copy);
    }
    free(bytes);
}
END_TEST

static const struct tensor_output two[] = {{"x", DTYPE_F32, 2, {2, 3}}, {"y", DTYPE_BF16, 1, {3}}};

START_TEST(reads_what_it_writes)
{
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    static const uint16_t y[3] = {7, 8, 9};
    char directory[PATH_ROOM], path[PATH_ROOM];
    struct tensors_writer *writer;
    struct tensors *tensors;
    struct error error;
    directory_make(directory);
    path_in(directory, "model.safetensors", path);
    ck_assert_int_eq(tensors_write_open(path, two, 2, &writer, &error), STATUS_OK);
    ck_assert_int_eq(tensors_write_data(writer, x, 8, &error), STATUS_OK);
    ck_assert_int_eq(tensors_write_data(writer, x + 2, 16, &error), STATUS_OK);
    ck_assert_int_eq(tensors_write_data(writer, y, 6, &error), STATUS_OK);
    ck_assert(!file_exists(directory, "model.safetensors")); /* not before it is whole */
    ck_assert_int_eq(tensors_write_close(writer, &error), STATUS_OK);
    ck_assert_int_eq(tensors_open(directory, &tensors, &error), STATUS_OK);
    ck_assert_int_eq(tensors_count(tensors), 2);
    ck_assert_mem_eq(tensors_find(tensors, "x")->data, x, sizeof x);
    ck_assert_mem_eq(tensors_find(tensors, "y")->data, y, sizeof y);
    ck_assert_uint_eq((uintptr_t)tensors_find(tensors, "x")->data % 64, 0);
    tensors_close(tensors);
    directory_remove(directory);
}
END_TEST

START_TEST(leaves_nothing_of_a_file_that_was_not_finished)
{
    static const char zeros[64];
    char directory[PATH_ROOM], path[PATH_ROOM];
    struct tensors_writer *writer;
    struct error error;
    directory_make(directory);
    path_in(directory, "model.safetensors", path);
    ck_assert_int_eq(tensors_write_open(path, two, 2, &writer, &error), STATUS_OK);
    ck_assert_int_eq(tensors_write_data(writer, zeros, 29, &error), STATUS_OK);
    assert_refused(tensors_write_data(writer, zeros, 2, &error), STATUS_INVALID_ARGUMENT, &error,
                   "1 bytes of data too many");
    assert_refused(tensors_write_close(writer, &error), STATUS_INVALID_ARGUMENT, &error,
                   "1 bytes of data are missing");
    ck_assert_int_eq(tensors_write_open(path, two, 2, &writer, &error), STATUS_OK);
    tensors_write_abandon(writer);
    ck_assert_int_eq(rmdir(directory), 0); /* empty */
}
END_TEST

START_TEST(writes_no_file_that_cannot_be_read)
{
    static const struct tensor_output twice[] = {{"x", DTYPE_F32, 1, {2}}, {"x", DTYPE_F32, 1, {2}}};
    static const struct tensor_output huge[] = {{"x", DTYPE_F32, 2, {1LL << 40, 1LL << 40}}};
    char directory[PATH_ROOM], path[PATH_ROOM];
    struct tensors_writer *writer;
    struct error error;
    directory_make(directory);
    path_in(directory, "model.safetensors", path);
    assert_refused(tensors_write_open(path, twice, 2, &writer, &error), STATUS_INVALID_ARGUMENT, &error,
                   "twice");
    assert_refused(tensors_write_open(path, huge, 1, &writer, &error), STATUS_INVALID_ARGUMENT, &error,
                   "does not fit");
    path_in(directory, "none/m", path);
    assert_refused(tensors_write_open(path, two, 2, &writer, &error), STATUS_NOT_FOUND, &error, path);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

Suite *safetensors_suite(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *tests = tcase_create("safetensors");
    tcase_add_test(tests, reads_tensors_in_the_order_of_their_data);
    tcase_add_loop_test(tests, refuses_what_is_wrong, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(tests, refuses_an_absurd_header_size);
    tcase_add_test(tests, refuses_deep_nesting);
    tcase_add_test(tests, refuses_every_beginning);
    tcase_add_test(tests, reads_what_it_writes);
    tcase_add_test(tests, leaves_nothing_of_a_file_that_was_not_finished);
    tcase_add_test(tests, writes_no_file_that_cannot_be_read);
    suite_add_tcase(suite, tests);
    return suite;
}
