#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cli/convert/checkpoint.h"
#include "cli/convert/compare.h"
#include "cli/convert/networks.h"
#include "cli/convert/state_dict.h"
#include "tests/model/convert_suites.h"
#include "tests/model/support.h"
#include "tests/model/zips.h"

static char directory[PATH_ROOM], path[PATH_ROOM];

static void set_up(void)
{
    directory_make(directory);
    path_in(directory, "made.pth", path);
}

static void tear_down(void)
{
    directory_remove(directory);
}

/* Everything that a sink was given. */
struct taken {
    char *bytes;
    size_t n_elements, width;
};

static enum status take(void *context, const void *elements, size_t n_elements, struct error *error)
{
    struct taken *taken = context;
    (void)error;
    taken->bytes = realloc(taken->bytes, (taken->n_elements + n_elements) * taken->width);
    memcpy(taken->bytes + taken->n_elements * taken->width, elements, n_elements * taken->width);
    taken->n_elements += n_elements;
    return STATUS_OK;
}

static enum status read_all(struct checkpoint *checkpoint, const struct pickle_tensor *tensor,
                            struct taken *taken, struct error *error)
{
    *taken = (struct taken){NULL, 0, dtype_bytes(tensor->storage->dtype)};
    const struct element_sink sink = {take, taken};
    return checkpoint_read(checkpoint, tensor, &sink, error);
}

/* bf16, f16, f64, i64, no dimensions, strides, offsets, shared storage. */
START_TEST(decodes_odd_tensors)
{
    char golden[PATH_ROOM];
    struct checkpoint *checkpoint;
    struct tensors *expected;
    struct error error;
    ck_assert_int_eq(
        tensors_open_file(golden_path("expect_odd_tensors.safetensors", golden), &expected, &error),
        STATUS_OK);
    ck_assert_int_eq(checkpoint_open(golden_path("ckpt_odd_tensors.pth", golden), &checkpoint, &error),
                     STATUS_OK);
    const struct pickle_value *dict = pickle_get(checkpoint_root(checkpoint), "student_ema_model");
    ck_assert_uint_eq(dict->items.n, 2 * (size_t)tensors_count(expected));
    ck_assert_int_eq(tensors_count(expected), 9);
    for (int i = 0; i < tensors_count(expected); i++) {
        const struct tensor *tensor = tensors_at(expected, i);
        const struct pickle_value *found = pickle_get(dict, tensor->name);
        ck_assert_msg(found && found->kind == PICKLE_TENSOR, "no tensor %s", tensor->name);
        enum status status = compare_checkpoint_tensor(checkpoint, &found->tensor, tensor, &error);
        ck_assert_msg(status == STATUS_OK, "%s", error.text);
    }
    ck_assert_int_eq(pickle_get(checkpoint_root(checkpoint), "step")->integer, 3);
    checkpoint_close(checkpoint);
    tensors_close(expected);
}
END_TEST

/* {"t": tensor} over a storage "0" of 6 floats, with these two tuples and this offset. */
#define TENSOR(offset, shape, strides)                                                                      \
    "\x80\2}X\1\0\0\0tctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" \
    "0X\3\0\0\0cpuK\6tQ" offset shape strides "tRs."

static const float six[6] = {0, 1, 2, 3, 4, 5};

static void make_tensor(const char *pickle, size_t pickle_bytes, size_t data_bytes, int compressed)
{
    const struct zip_record records[] = {{"X/data.pkl", pickle, pickle_bytes, 0},
                                         {"X/data/0", six, data_bytes, compressed},
                                         {NULL, NULL, 0, 0}};
    zip_make(path, records);
}

static enum status open_and_read(struct taken *taken, struct error *error)
{
    struct checkpoint *checkpoint;
    *taken = (struct taken){NULL, 0, 0};
    enum status status = checkpoint_open(path, &checkpoint, error);
    if (status)
        return status;
    status = read_all(checkpoint, &pickle_get(checkpoint_root(checkpoint), "t")->tensor, taken, error);
    checkpoint_close(checkpoint);
    return status;
}

static const struct {
    const char *pickle;
    size_t n;
    float expected[12];
    size_t n_expected;
} views[] = {
#define VIEW(program) program, sizeof(program) - 1
    {VIEW(TENSOR("K\0", "K\2K\3\x86", "K\3K\1\x86")), {0, 1, 2, 3, 4, 5}, 6},
    {VIEW(TENSOR("K\0", "K\3K\2\x86", "K\1K\3\x86")), {0, 3, 1, 4, 2, 5}, 6}, /* transposed */
    {VIEW(TENSOR("K\2", "K\3\x85", "K\1\x85")), {2, 3, 4}, 3},
    {VIEW(TENSOR("K\1", "K\3\x85", "K\2\x85")), {1, 3, 5}, 3},
    {VIEW(TENSOR("K\5", "K\4\x85", "K\0\x85")), {5, 5, 5, 5}, 4}, /* expanded */
    {VIEW(TENSOR("K\0", "K\4K\3\x86", "K\1K\1\x86")),
     {0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5},
     12},                                    /* overlapping */
    {VIEW(TENSOR("K\4", ")", ")")), {4}, 1}, /* no dimensions */
    {VIEW(TENSOR("K\3", "K\1K\2\x86", "J\xff\xff\xff\x7fK\1\x86")),
     {3, 4},
     2},                                                       /* the stride of one row is moot */
    {VIEW(TENSOR("K\0", "K\0K\2\x86", "K\2K\1\x86")), {0}, 0}, /* empty */
};

START_TEST(reads_any_view)
{
    struct taken taken;
    struct error error;
    make_tensor(views[_i].pickle, views[_i].n, sizeof six, 0);
    enum status status = open_and_read(&taken, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
    ck_assert_uint_eq(taken.n_elements, views[_i].n_expected);
    if (taken.n_elements)
        ck_assert_mem_eq(taken.bytes, views[_i].expected, taken.n_elements * sizeof(float));
    free(taken.bytes);
}
END_TEST

#define HUGE_NUMBER "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"

/* A lazy negative view: {"neg": True} as the seventh argument. It is a view of the same storage with other
 * signs. */
START_TEST(reads_a_negative_view)
{
    static const char negative[] = TENSOR("K\1", "K\3\x85",
                                          "K\2\x85"
                                          "\x89N}X\3\0\0\0neg\x88s");
    static const char positive[] = TENSOR("K\1", "K\3\x85",
                                          "K\2\x85"
                                          "\x89N}X\3\0\0\0neg\x89s");
    static const float expected[] = {-1, -3, -5, 1, 3, 5};
    struct taken taken;
    struct error error;
    make_tensor(negative, sizeof negative - 1, sizeof six, 0);
    ck_assert_int_eq(open_and_read(&taken, &error), STATUS_OK);
    ck_assert_mem_eq(taken.bytes, expected, 3 * sizeof(float));
    free(taken.bytes);
    make_tensor(positive, sizeof positive - 1, sizeof six, 0);
    ck_assert_int_eq(open_and_read(&taken, &error), STATUS_OK);
    ck_assert_mem_eq(taken.bytes, expected + 3, 3 * sizeof(float));
    free(taken.bytes);
}
END_TEST

static const struct {
    const char *pickle;
    size_t n;
    const char *words;
} outside[] = {
    {VIEW(TENSOR("K\1", "K\2K\3\x86", "K\3K\1\x86")), "reaches element 6 of a storage of 6"},
    {VIEW(TENSOR("K\6", ")", ")")), "reaches element 6 of a storage of 6"},
    {VIEW(TENSOR("K\0", "K\3\x85", "K\3\x85")), "reaches element 6"},
    {VIEW(TENSOR(HUGE_NUMBER, "K\2\x85", "K\1\x85")), "do not fit in 63 bits"},
    {VIEW(TENSOR("K\0", "K\3\x85", HUGE_NUMBER "\x85")), "do not fit in 63 bits"},
    {VIEW(TENSOR("K\0", HUGE_NUMBER HUGE_NUMBER "\x86", "K\0K\0\x86")), "does not fit in 63 bits"},
    {VIEW(TENSOR("K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t")),
     "has 9 dimensions"},
};

START_TEST(refuses_a_view_that_leaves_its_storage)
{
    struct taken taken;
    struct error error;
    make_tensor(outside[_i].pickle, outside[_i].n, sizeof six, 0);
    assert_refused(open_and_read(&taken, &error), STATUS_INVALID_ARGUMENT, &error, outside[_i].words);
    free(taken.bytes);
}
END_TEST

START_TEST(refuses_records_that_are_not_what_they_should_be)
{
    static const char good[] = TENSOR("K\0", "K\6\x85", "K\1\x85");
    const struct zip_record missing[] = {{"X/data.pkl", good, sizeof good - 1, 0}, {NULL, NULL, 0, 0}};
    struct taken taken;
    struct error error;
    make_tensor(good, sizeof good - 1, sizeof six - 1, 0);
    assert_refused(open_and_read(&taken, &error), STATUS_DATA_LOSS, &error,
                   "data/0 has 23 bytes; 6 elements of F32");
    make_tensor(good, sizeof good - 1, sizeof six, 1);
    assert_refused(open_and_read(&taken, &error), STATUS_INVALID_ARGUMENT, &error, "data/0 is compressed");
    zip_make(path, missing);
    assert_refused(open_and_read(&taken, &error), STATUS_NOT_FOUND, &error, "data/0 is missing");
}
END_TEST

START_TEST(notices_a_flipped_bit)
{
    static const char good[] = TENSOR("K\0", "K\6\x85", "K\1\x85");
    struct taken taken;
    struct error error;
    size_t n;
    make_tensor(good, sizeof good - 1, sizeof six, 0);
    char *bytes = file_load(path, &n), *at = memmem(bytes, n, six, sizeof six);
    ck_assert_ptr_nonnull(at);
    at[9] ^= 1;
    file_write(path, bytes, n);
    free(bytes);
    assert_refused(open_and_read(&taken, &error), STATUS_DATA_LOSS, &error, "data/0 is damaged");
    free(taken.bytes);
}
END_TEST

START_TEST(refuses_archives_that_are_no_checkpoint)
{
    static const char list[] = "\x80\2].", dict[] = "\x80\2}.";
    const struct zip_record none[] = {{"X/other", dict, 4, 0}, {NULL, NULL, 0, 0}};
    const struct zip_record two[] = {
        {"X/data.pkl", dict, 4, 0}, {"Y/data.pkl", dict, 4, 0}, {NULL, NULL, 0, 0}};
    const struct zip_record no_dict[] = {{"X/data.pkl", list, 4, 0}, {NULL, NULL, 0, 0}};
    const struct zip_record big[] = {
        {"X/data.pkl", dict, 4, 0}, {"X/byteorder", "big", 3, 0}, {NULL, NULL, 0, 0}};
    const struct zip_record deflated[] = {{"X/data.pkl", dict, 4, 1}, {NULL, NULL, 0, 0}};
    struct checkpoint *checkpoint;
    struct error error;
    assert_refused(checkpoint_open(path, &checkpoint, &error), STATUS_NOT_FOUND, &error, path);
    assert_refused(checkpoint_open(directory, &checkpoint, &error), STATUS_INVALID_ARGUMENT, &error,
                   "not a regular file");
    file_write(path, "\x80\2}.", 4);
    assert_refused(checkpoint_open(path, &checkpoint, &error), STATUS_INVALID_ARGUMENT, &error,
                   "is a plain pickle, which torch.save does not write");
    zip_make(path, none);
    assert_refused(checkpoint_open(path, &checkpoint, &error), STATUS_INVALID_ARGUMENT, &error,
                   "no FOLDER/data.pkl");
    zip_make(path, two);
    assert_refused(checkpoint_open(path, &checkpoint, &error), STATUS_INVALID_ARGUMENT, &error,
                   "more than one data.pkl");
    zip_make(path, no_dict);
    assert_refused(checkpoint_open(path, &checkpoint, &error), STATUS_INVALID_ARGUMENT, &error,
                   "no dict of state dicts");
    zip_make(path, big);
    assert_refused(checkpoint_open(path, &checkpoint, &error), STATUS_UNIMPLEMENTED, &error, "big-endian");
    zip_make(path, deflated);
    assert_refused(checkpoint_open(path, &checkpoint, &error), STATUS_INVALID_ARGUMENT, &error,
                   "data.pkl is compressed");
}
END_TEST

/* Wrappers put their names anywhere into a tensor's; the last part is never one. */
#define NAMED(length, name)                                                                      \
    VIEW("\x80\2}X" length "\0\0\0" name "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storage" \
         "ctorch\nFloatStorage\nX\1\0\0\0"                                                       \
         "0X\3\0\0\0cpuK\6tQK\0))tRs.")

static const struct {
    const char *pickle;
    size_t n;
    const char *name;
} wrapped[] = {
    {NAMED("\x1a", "module._orig_mod.a.0.weight"), NULL}, /* the length is wrong: not read at all */
    {NAMED("\x1b", "module._orig_mod.a.0.weight"), "a.0.weight"},
    {NAMED("\x16", "a.0._orig_mod.b.weight"), "a.0.b.weight"},
    {NAMED("\x22", "a._fsdp_wrapped_module.0.norm.bias"), "a.0.norm.bias"},
    {NAMED("\x24", "a.0._checkpoint_wrapped_module.qw.w1"), "a.0.qw.w1"},
    {NAMED("\x1c", "_forward_module.a.module.w12"), "a.w12"},
    {NAMED("\x08", "a.module"), "a.module"},
    {NAMED("\x0c", "a.modules.w1"), "a.modules.w1"},
};

START_TEST(takes_wrappers_out_of_names)
{
    struct checkpoint *checkpoint;
    struct state_dict state = {0};
    struct error error;
    static const struct checkpoint_network whole = {"model", NETWORK_WHOLE_FILE};
    make_tensor(wrapped[_i].pickle, wrapped[_i].n, sizeof six, 0);
    const enum status opened = checkpoint_open(path, &checkpoint, &error);
    ck_assert_int_eq(opened == STATUS_OK, wrapped[_i].name != NULL);
    if (opened != STATUS_OK)
        return;
    const struct pickle_value *dict = network_find(&whole, checkpoint_root(checkpoint));
    ck_assert_ptr_eq(dict, checkpoint_root(checkpoint)); /* a bare state dict */
    ck_assert_int_eq(state_dict_read(dict, &state, &error), STATUS_OK);
    ck_assert_str_eq(state.tensors[0].name, wrapped[_i].name);
    state_dict_release(&state);
    checkpoint_close(checkpoint);
}
END_TEST

/* What lies beside the network does not matter; what lies in it does. */
START_TEST(ignores_what_is_beside_the_network)
{
    static const char beside[] =
        "\x80\2}(X\4\0\0\0bestcnumpy\nfloat64\nG?\xf8\0\0\0\0\0\0\x85RX\5\0\0\0model}"
        "X\1\0\0\0wcos\nsystem\n)Rsu.";
    static const struct checkpoint_network model = {"model", "model"};
    const struct zip_record records[] = {{"X/data.pkl", beside, sizeof beside - 1, 0}, {NULL, NULL, 0, 0}};
    struct checkpoint *checkpoint;
    struct state_dict state = {0};
    struct error error;
    zip_make(path, records);
    ck_assert_int_eq(checkpoint_open(path, &checkpoint, &error), STATUS_OK);
    const struct pickle_value *dict = network_find(&model, checkpoint_root(checkpoint));
    ck_assert_ptr_nonnull(dict);
    assert_refused(state_dict_read(dict, &state, &error), STATUS_INVALID_ARGUMENT, &error,
                   "entry \"w\" is made by os.system, which is refused");
    checkpoint_close(checkpoint);
}
END_TEST

/* What a download brings instead of the file. */
static const struct {
    const char *bytes;
    size_t n;
    const char *words;
} downloads[] = {
    {VIEW("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"), "is a Git LFS pointer"},
    {VIEW("\n <!DOCTYPE html><html>"), "is a web page"},
    {VIEW("<HTML><body>"), "is a web page"},
    {VIEW("PK\3\4 and no more"), "is cut off or damaged: its 16 bytes"},
    {VIEW(""), "is empty"},
    {VIEW("\x1F\x8B\x08"), "is compressed by gzip"},
    {VIEW("\x40\0\0\0\0\0\0\0{\"a\":"), "is a safetensors file"},
    {VIEW("\x80\2\x8A\x0Al\xFC\x9C"
          "F\xF9 j\xA8P\x19.\x80\2M"),
     "the format of torch before 1.6"},
    {VIEW("anything else"), "no torch.save file of torch 1.6 or later"},
};

START_TEST(says_what_a_file_is_instead)
{
    struct checkpoint *checkpoint;
    struct error error;
    file_write(path, downloads[_i].bytes, downloads[_i].n);
    const enum status status = checkpoint_open(path, &checkpoint, &error);
    assert_refused(status, _i == 3 ? STATUS_DATA_LOSS : STATUS_INVALID_ARGUMENT, &error, downloads[_i].words);
}
END_TEST

START_TEST(refuses_every_beginning_of_a_file)
{
    char golden[PATH_ROOM];
    struct checkpoint *checkpoint;
    struct error error;
    size_t size;
    char *bytes = file_load(golden_path("ckpt_odd_tensors.pth", golden), &size);
    for (size_t n = 0; n < size; n++) {
        file_write(path, bytes, n);
        enum status status = checkpoint_open(path, &checkpoint, &error);
        ck_assert_msg(status == STATUS_INVALID_ARGUMENT || status == STATUS_DATA_LOSS, "%zu bytes: %s", n,
                      status_name(status));
    }
    free(bytes);
}
END_TEST

Suite *checkpoint_suite(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *tests = tcase_create("checkpoint");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, decodes_odd_tensors);
    tcase_add_loop_test(tests, reads_any_view, 0, (int)(sizeof views / sizeof *views));
    tcase_add_test(tests, reads_a_negative_view);
    tcase_add_loop_test(tests, takes_wrappers_out_of_names, 0, (int)(sizeof wrapped / sizeof *wrapped));
    tcase_add_test(tests, ignores_what_is_beside_the_network);
    tcase_add_loop_test(tests, says_what_a_file_is_instead, 0, (int)(sizeof downloads / sizeof *downloads));
    tcase_add_loop_test(tests, refuses_a_view_that_leaves_its_storage, 0,
                        (int)(sizeof outside / sizeof *outside));
    tcase_add_test(tests, refuses_records_that_are_not_what_they_should_be);
    tcase_add_test(tests, notices_a_flipped_bit);
    tcase_add_test(tests, refuses_archives_that_are_no_checkpoint);
    tcase_add_test(tests, refuses_every_beginning_of_a_file);
    suite_add_tcase(suite, tests);
    return suite;
}
