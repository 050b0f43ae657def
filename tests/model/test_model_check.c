#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/layout.h"
#include "tests/model/suites.h"
#include "tests/model/support.h"

static struct tensors *open_golden(const char *name)
{
    char path[PATH_ROOM];
    struct tensors *tensors = NULL;
    struct error error;
    enum status status = tensors_open_file(golden_path(name, path), &tensors, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
    return tensors;
}

static const struct {
    const char *file, *model;
    enum architecture architecture;
    uint64_t n_parameters;
} golden[] = {
    {"weights_teacher.safetensors", "teacher", ARCHITECTURE_DFM, 266432},
    {"weights_student.safetensors", "student", ARCHITECTURE_FS_DFM, 288192},
    {"weights_masked_student.safetensors", "masked_student", ARCHITECTURE_FS_DFM, 52465},
    {"weights_nano_student_ema.safetensors", "nano", ARCHITECTURE_FS_DFM, 0},
    {"weights_nano_teacher.safetensors", "nano", ARCHITECTURE_DFM, 0},
};

START_TEST(accepts_the_golden_models)
{
    struct model_config config = golden_config(golden[_i].model);
    struct error error;
    config.architecture = golden[_i].architecture;
    struct tensors *tensors = open_golden(golden[_i].file);
    enum status status = tensors_check_model(tensors, &config, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
    ck_assert_int_eq(tensors_count(tensors), model_layout_count(&config));
    if (golden[_i].n_parameters)
        ck_assert_uint_eq(model_config_parameters(&config), golden[_i].n_parameters);
    tensors_close(tensors);
}
END_TEST

/* The layout's order is the reference's own. */
START_TEST(lists_tensors_as_the_reference_does)
{
    struct model_config config = golden_config("student");
    struct tensors *tensors = open_golden("weights_student.safetensors");
    for (int i = 0; i < model_layout_count(&config); i++) {
        struct model_tensor tensor;
        model_layout_at(&config, i, &tensor);
        ck_assert_str_eq(tensor.name, tensors_at(tensors, i)->name);
    }
    tensors_close(tensors);
}
END_TEST

/* The published sizes, counted by hand from the papers' shapes (170,168,529; 1,333,956,689). */
START_TEST(counts_the_published_models)
{
    struct model_config config = golden_config("student");
    config.vocabulary = 50257, config.hidden = 768, config.n_heads = 12, config.n_blocks = 12,
    config.condition = 128;
    ck_assert_int_eq(model_config_complete(&config, NULL), STATUS_OK);
    ck_assert_uint_eq(model_config_parameters(&config), 170168529);
    config.hidden = 2048, config.n_heads = 32, config.n_blocks = 21, config.condition = 256;
    ck_assert_int_eq(model_config_complete(&config, NULL), STATUS_OK);
    ck_assert_uint_eq(model_config_parameters(&config), 1333956689);
}
END_TEST

START_TEST(refuses_tensors_of_another_model)
{
    struct model_config config = golden_config("student");
    struct error error;
    struct tensors *tensors = open_golden("weights_student.safetensors");
    config.n_blocks = 4;
    assert_refused(tensors_check_model(tensors, &config, &error), STATUS_INVALID_ARGUMENT, &error,
                   "weights_student.safetensors: tensor \"blocks.3.norm1.weight\" is missing");
    config.n_blocks = 2;
    assert_refused(tensors_check_model(tensors, &config, &error), STATUS_INVALID_ARGUMENT, &error,
                   "tensor \"blocks.2.norm1.weight\" is no part of a fs-dfm model of 2 blocks");
    config.n_blocks = 3;
    config.architecture = ARCHITECTURE_DFM;
    assert_refused(tensors_check_model(tensors, &config, &error), STATUS_INVALID_ARGUMENT, &error,
                   "tensor \"dt_embedding.mlp.0.weight\" is no part of a dfm model");
    config.architecture = ARCHITECTURE_FS_DFM;
    config.n_ids = 513;
    assert_refused(tensors_check_model(tensors, &config, &error), STATUS_INVALID_ARGUMENT, &error,
                   "tensor \"vocab_embed.weight\": shape is [512, 64]; the config asks for [513, 64]");
    tensors_close(tensors);
}
END_TEST

/* The golden nano model in memory, with the first `from` of its header replaced by as many bytes. */
static char *edited(const char *from, const char *to, struct tensors **tensors, enum status *status,
                    struct error *error)
{
    char path[PATH_ROOM];
    size_t n;
    char *bytes = file_load(golden_path("weights_nano_teacher.safetensors", path), &n);
    char *at = memmem(bytes, n, from, strlen(from));
    ck_assert_msg(at != NULL, "no \"%s\"", from);
    ck_assert_uint_eq(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    *status = tensors_open_memory(bytes, n, "edited", tensors, error);
    return bytes;
}

static const struct {
    const char *from, *to, *words;
} edits[] = {
    {"\"F32\",\"shape\":[40,16],\"data_offsets\":[0,2560]",
     "\"F64\",\"shape\":[20,16],\"data_offsets\":[0,2560]", "dtype is F64; weights must be F32, BF16 or F16"},
    {"\"F32\",\"shape\":[40,16],\"data_offsets\":[0,2560]",
     "\"F32\",\"shape\":[16,40],\"data_offsets\":[0,2560]", "shape is [16, 40]"},
    {"[40,16],\"data_offsets\":[0,2560]}", "[640],\"data_offsets\":[0,2560]}  ", "shape is [640]"},
    {"blocks.0.qw.weight", "blocks.0.qv.weight", "tensor \"blocks.0.qw.weight\" is missing"},
    {"rotary_emb.inv_freq", "rotary_emb.inv_frea", "tensor \"rotary_emb.inv_frea\" is no part"},
};

START_TEST(refuses_edited_tensors)
{
    struct model_config config = golden_config("nano");
    struct tensors *tensors = NULL;
    struct error error;
    enum status status;
    config.architecture = ARCHITECTURE_DFM;
    char *bytes = edited(edits[_i].from, edits[_i].to, &tensors, &status, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
    assert_refused(tensors_check_model(tensors, &config, &error), STATUS_INVALID_ARGUMENT, &error,
                   edits[_i].words);
    tensors_close(tensors);
    free(bytes);
}
END_TEST

/* Writes the named tensors of a set as one file. */
static void write_part(const struct tensors *tensors, int first, int end, const char *path)
{
    struct tensor_output outputs[64] = {0};
    struct tensors_writer *writer;
    struct error error;
    for (int i = first; i < end; i++) {
        const struct tensor *tensor = tensors_at(tensors, i);
        outputs[i - first] = (struct tensor_output){tensor->name, tensor->dtype, tensor->n_dimensions, {0}};
        memcpy(outputs[i - first].shape, tensor->shape, sizeof tensor->shape);
    }
    ck_assert_int_eq(tensors_write_open(path, outputs, end - first, &writer, &error), STATUS_OK);
    for (int i = first; i < end; i++)
        ck_assert_int_eq(tensors_write_data(writer, tensors_at(tensors, i)->data,
                                            tensors_at(tensors, i)->size_bytes, &error),
                         STATUS_OK);
    ck_assert_int_eq(tensors_write_close(writer, &error), STATUS_OK);
}

/* The set as two shards with an index, opened. */
static struct tensors *reopen_sharded(const struct tensors *tensors, const char *directory)
{
    char path[PATH_ROOM], index[16384];
    struct tensors *sharded = NULL;
    struct error error;
    const int n = tensors_count(tensors), half = n / 2;
    write_part(tensors, 0, half, path_in(directory, "model-2.safetensors", path));
    write_part(tensors, half, n, path_in(directory, "model-1.safetensors", path));
    size_t used = (size_t)snprintf(index, sizeof index, "{\"weight_map\":{");
    for (int i = 0; i < n; i++)
        used += (size_t)snprintf(index + used, sizeof index - used, "%s\"%s\":\"model-%d.safetensors\"",
                                 i ? "," : "", tensors_at(tensors, i)->name, i < half ? 2 : 1);
    snprintf(index + used, sizeof index - used, "}}");
    text_write(directory, "model.safetensors.index.json", index);
    enum status status = tensors_open(directory, &sharded, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
    return sharded;
}

START_TEST(a_fingerprint_knows_no_shards_and_no_name)
{
    char directory[PATH_ROOM], one[17], two[17];
    struct model_config config = golden_config("student");
    struct error error;
    struct tensors *tensors = open_golden("weights_student.safetensors");
    directory_make(directory);
    struct tensors *sharded = reopen_sharded(tensors, directory);
    ck_assert_int_eq(tensors_check_model(sharded, &config, &error), STATUS_OK);
    tensors_fingerprint(tensors, &config, one);
    strcpy(config.name, "other");
    tensors_fingerprint(sharded, &config, two);
    ck_assert_str_eq(one, two);
    ck_assert_uint_eq(strlen(one), 16);
    assert_same_tensors(tensors, sharded);
    tensors_close(sharded);
    tensors_close(tensors);
    directory_remove(directory);
}
END_TEST

START_TEST(a_fingerprint_tells_models_apart)
{
    char path[PATH_ROOM], one[17], two[17];
    struct model_config config = golden_config("nano");
    struct tensors *tensors;
    struct error error;
    size_t n;
    char *bytes = file_load(golden_path("weights_nano_student_ema.safetensors", path), &n);
    ck_assert_int_eq(tensors_open_memory(bytes, n, "m", &tensors, &error), STATUS_OK);
    tensors_fingerprint(tensors, &config, one);
    bytes[n - 1] ^= 1; /* one bit of the last weight */
    tensors_fingerprint(tensors, &config, two);
    ck_assert_str_ne(one, two);
    bytes[n - 1] ^= 1;
    config.scheduler_exponent = 2;
    tensors_fingerprint(tensors, &config, two);
    ck_assert_str_ne(one, two);
    tensors_close(tensors);
    free(bytes);
}
END_TEST

/* What the repository ships must be what its own checks accept. */
START_TEST(books_mini_is_a_model)
{
    char path[PATH_ROOM], fingerprint[17];
    struct model_config config;
    struct tensors *tensors;
    struct error error;
    snprintf(path, sizeof path, "%s/models/books-mini", getenv("MILLRACE_SOURCE"));
    enum status status = model_config_read(path, &config, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
    ck_assert_int_eq(tensors_open(path, &tensors, &error), STATUS_OK);
    status = tensors_check_model(tensors, &config, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
    tensors_fingerprint(tensors, &config, fingerprint);
    char readme[PATH_ROOM];
    size_t n;
    char *text = file_load(path_in(path, "README.md", readme), &n);
    ck_assert_msg(strstr(text, fingerprint) != NULL, "README.md is of another model than %s", fingerprint);
    free(text);
    tensors_close(tensors);
}
END_TEST

Suite *model_suite(void)
{
    Suite *suite = suite_create("model");
    TCase *tests = tcase_create("model");
    tcase_add_loop_test(tests, accepts_the_golden_models, 0, (int)(sizeof golden / sizeof *golden));
    tcase_add_test(tests, lists_tensors_as_the_reference_does);
    tcase_add_test(tests, counts_the_published_models);
    tcase_add_test(tests, refuses_tensors_of_another_model);
    tcase_add_loop_test(tests, refuses_edited_tensors, 0, (int)(sizeof edits / sizeof *edits));
    tcase_add_test(tests, a_fingerprint_knows_no_shards_and_no_name);
    tcase_add_test(tests, a_fingerprint_tells_models_apart);
    tcase_add_test(tests, books_mini_is_a_model);
    suite_add_tcase(suite, tests);
    return suite;
}
