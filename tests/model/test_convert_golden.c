#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/convert/compare.h"
#include "cli/convert/convert.h"
#include "common/model/layout.h"
#include "tests/model/convert_suites.h"
#include "tests/model/support.h"
#include "tests/model/zips.h"

static char directory[PATH_ROOM], model[PATH_ROOM], made[PATH_ROOM], golden[PATH_ROOM];

static void set_up(void)
{
    directory_make(directory);
    path_in(directory, "model-x", model);
    path_in(directory, "made.pth", made);
}

static void tear_down(void)
{
    directory_remove(directory);
}

static struct convert_options options_for(const char *checkpoint, const char *weights)
{
    struct convert_options options = convert_defaults();
    options.checkpoint = golden_path(checkpoint, golden);
    options.directory = model;
    options.weights = weights;
    return options;
}

static void assert_converted(const struct convert_options *options, struct convert_report *report)
{
    struct error error;
    enum status status = convert_checkpoint(options, report, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
}

static void assert_not_converted(const struct convert_options *options, enum status wanted, const char *words)
{
    struct convert_report report;
    struct error error;
    assert_refused(convert_checkpoint(options, &report, &error), wanted, &error, words);
    ck_assert(!file_exists(model, "config.json"));
}

/* The layouts that the reference writes, and what is in them (manifest.json, checkpoints). */
static const struct {
    const char *checkpoint, *weights, *entry, *expected;
    int64_t step;
} layouts[] = {
    {"ckpt_main_step_190000.pth", NULL, "student_ema_model", "weights_student.safetensors", 190000},
    {"ckpt_main_step_190000.pth", "ema", "student_ema_model", "weights_student.safetensors", 190000},
    {"ckpt_main_step_190000.pth", "teacher", "teacher_model", "weights_teacher.safetensors", 190000},
    {"ckpt_nano_full.pth", NULL, "student_ema_model", "weights_nano_student_ema.safetensors", 1},
    {"ckpt_nano_full.pth", "student", "student_model", "weights_nano_student_raw.safetensors", 1},
    {"ckpt_nano_full.pth", "teacher", "teacher_model", "weights_nano_teacher.safetensors", 1},
    {"ckpt_nano_cuda_origmod.pth", "ema", "student_ema_model", "weights_nano_student_ema.safetensors", 1},
    {"ckpt_nano_cuda_origmod.pth", "student", "student_model", "weights_nano_student_raw.safetensors", 1},
    {"ckpt_nano_cuda_origmod.pth", "teacher", "teacher_model", "weights_nano_teacher.safetensors", 1},
    {"ckpt_nano_module_prefix.pth", NULL, "student_ema_model", "weights_nano_student_ema.safetensors", 1},
    {"ckpt_nano_module_prefix.pth", "student", "student_model", "weights_nano_student_raw.safetensors", 1},
    {"ckpt_nano_pretrain.pth", NULL, "model", "weights_nano_teacher.safetensors", 5000},
    {"ckpt_nano_torch2_layout.pth", "model", "model", "weights_nano_teacher.safetensors", 5000},
};

START_TEST(converts_every_layout_bit_for_bit)
{
    const struct convert_options options = options_for(layouts[_i].checkpoint, layouts[_i].weights);
    struct convert_report report;
    struct model_config config;
    struct tensors *converted, *expected;
    struct error error;
    char path[PATH_ROOM];
    assert_converted(&options, &report);
    ck_assert_str_eq(report.entry, layouts[_i].entry);
    ck_assert_int_eq(report.step, layouts[_i].step);
    ck_assert_int_eq(model_config_read(model, &config, &error), STATUS_OK);
    ck_assert_str_eq(config.name, "model-x");
    ck_assert_int_eq(tensors_open(model, &converted, &error), STATUS_OK);
    ck_assert_int_eq(tensors_check_model(converted, &config, &error), STATUS_OK);
    ck_assert_int_eq(tensors_open_file(golden_path(layouts[_i].expected, path), &expected, &error),
                     STATUS_OK);
    enum status status = compare_tensors(expected, converted, &error);
    ck_assert_msg(status == STATUS_OK, "%s", error.text);
    tensors_close(expected);
    tensors_close(converted);
}
END_TEST

START_TEST(tells_the_shapes_and_records_the_origin)
{
    struct convert_options options = options_for("ckpt_main_step_190000.pth", NULL);
    struct convert_report report;
    options.name = "main";
    options.exponent = 2;
    options.trained_length = 48;
    assert_converted(&options, &report);
    const struct model_config wanted = golden_config("student");
    ck_assert_str_eq(report.config.name, "main");
    ck_assert_int_eq(report.config.architecture, wanted.architecture);
    ck_assert_int_eq(report.config.vocabulary, wanted.vocabulary);
    ck_assert_int_eq(report.config.hidden, wanted.hidden);
    ck_assert_int_eq(report.config.n_heads, wanted.n_heads);
    ck_assert_int_eq(report.config.n_blocks, wanted.n_blocks);
    ck_assert_int_eq(report.config.condition, wanted.condition);
    ck_assert_double_eq(report.config.scheduler_exponent, 2);
    ck_assert_int_eq(report.config.trained_length, 48);
    ck_assert_str_eq(report.offered, "student_ema_model, teacher_model");
    char *origin = model_config_origin(model);
    ck_assert_ptr_nonnull(strstr(origin, "\"entry\": \"student_ema_model\""));
    ck_assert_ptr_nonnull(strstr(origin, "\"file\": \"ckpt_main_step_190000.pth\""));
    ck_assert_ptr_nonnull(strstr(origin, "\"offered\": \"student_ema_model, teacher_model\""));
    ck_assert_ptr_nonnull(strstr(origin, "\"step\": 190000"));
    free(origin);
}
END_TEST

START_TEST(a_mask_source_leaves_one_row_for_the_mask)
{
    struct convert_options options = options_for("ckpt_nano_full.pth", NULL);
    struct convert_report report;
    options.source_given = true;
    options.source = SOURCE_MASK;
    assert_converted(&options, &report);
    ck_assert_int_eq(report.config.vocabulary, 39);
    ck_assert_int_eq(report.config.mask_token, 39);
    ck_assert_int_eq(report.config.n_ids, 40);
}
END_TEST

/* Rounded to nearest: an error of at most 2^-8 of the value; vectors keep their bits. */
START_TEST(rounds_matrices_to_bf16)
{
    struct convert_options options = options_for("ckpt_nano_full.pth", NULL);
    struct convert_report report;
    struct tensors *converted, *expected;
    struct error error;
    char path[PATH_ROOM];
    options.dtype = DTYPE_BF16;
    assert_converted(&options, &report);
    ck_assert_int_eq(tensors_open(model, &converted, &error), STATUS_OK);
    ck_assert_int_eq(
        tensors_open_file(golden_path("weights_nano_student_ema.safetensors", path), &expected, &error),
        STATUS_OK);
    for (int i = 0; i < tensors_count(expected); i++) {
        const struct tensor *exact = tensors_at(expected, i), *rounded = tensors_find(converted, exact->name);
        const size_t n = exact->size_bytes / sizeof(float);
        float *x = malloc(exact->size_bytes), *y = malloc(exact->size_bytes);
        ck_assert_int_eq(rounded->dtype, exact->n_dimensions == 2 ? DTYPE_BF16 : DTYPE_F32);
        dtype_to_float(DTYPE_F32, exact->data, n, x);
        dtype_to_float(rounded->dtype, rounded->data, n, y);
        const double bound = exact->n_dimensions == 2 ? 0x1p-8 : 0;
        for (size_t j = 0; j < n; j++)
            ck_assert_msg(y[j] - x[j] <= bound * (x[j] < 0 ? -x[j] : x[j]) &&
                              x[j] - y[j] <= bound * (x[j] < 0 ? -x[j] : x[j]),
                          "%s[%zu]: %g became %g", exact->name, j, (double)x[j], (double)y[j]);
        free(x);
        free(y);
    }
    tensors_close(expected);
    tensors_close(converted);
}
END_TEST

START_TEST(offers_a_choice_and_says_what_there_is)
{
    struct convert_options options = options_for("ckpt_main_step_190000.pth", "student");
    assert_not_converted(&options, STATUS_NOT_FOUND,
                         "has no student_model; it offers: student_ema_model, teacher_model");
    options.weights = "best";
    assert_not_converted(&options, STATUS_INVALID_ARGUMENT, "weights \"best\" are unknown");
    options = options_for("ckpt_odd_tensors.pth", NULL);
    assert_not_converted(&options, STATUS_INVALID_ARGUMENT, "\"vocab_embed.weight\" is missing");
}
END_TEST

START_TEST(never_writes_over_a_model)
{
    struct convert_options options = options_for("ckpt_nano_full.pth", NULL);
    struct convert_report report;
    struct error error;
    assert_converted(&options, &report);
    assert_refused(convert_checkpoint(&options, &report, &error), STATUS_ALREADY_EXISTS, &error,
                   "already has a config.json");
}
END_TEST

/* One edit of the pickle of ckpt_nano_pretrain.pth, and what must be said. */
static const struct {
    const char *from, *to, *words;
} edits[] = {
    {"blocks.0.qw.weight", "blocks.0.qv.weight", "tensor \"blocks.0.qw.weight\" is missing"},
    {"blocks.0.qw.weight", "blocks.0.kw.weight", "tensor \"blocks.0.kw.weight\" is there twice"},
    {"blocks.0.qw.weight", "blocks.0.qw\nweight", "must be 1 to 255 printable characters"},
    {"blocks.0.norm1.weight", "blocks.1.norm1.weight", "blocks.0.norm1.weight\" is missing"},
    {"rotary_emb.inv_freq", "rotary_emb.inv_frea", "give --heads"},
    {"vocab_embed.weight", "vocab_embad.weight", "\"vocab_embed.weight\" is missing"},
    {"ctorch\nFloatStorage\n", "ctorch\nEvilXStorage\n", "is made by torch.EvilXStorage, which is refused"},
    {"ctorch\nFloatStorage\n", "cshutil\nrmtreeAll__\n", "is made by shutil.rmtree"},
};

START_TEST(refuses_edited_checkpoints)
{
    struct convert_options options = options_for("ckpt_nano_pretrain.pth", NULL);
    struct convert_report report;
    struct error error;
    zip_edit(golden, made, "data.pkl", edits[_i].from, edits[_i].to, strlen(edits[_i].from));
    options.checkpoint = made;
    ck_assert_int_ne(convert_checkpoint(&options, &report, &error), STATUS_OK);
    ck_assert_msg(strncmp(error.text, made, strlen(made)) == 0, "\"%s\" does not name the file", error.text);
    assert_refused(error.status, STATUS_INVALID_ARGUMENT, &error, edits[_i].words);
    ck_assert(!file_exists(model, "config.json"));
}
END_TEST

START_TEST(takes_the_heads_from_the_option)
{
    struct convert_options options = options_for("ckpt_nano_pretrain.pth", NULL);
    struct convert_report report;
    options.n_heads = 4; /* the rotary buffer, which is there, then does not fit */
    assert_not_converted(&options, STATUS_INVALID_ARGUMENT, "\"rotary_emb.inv_freq\": shape is [4]");
    options.n_heads = 2;
    assert_converted(&options, &report);
    ck_assert_int_eq(report.config.n_heads, 2);
}
END_TEST

START_TEST(refuses_values_that_are_not_finite)
{
    static const unsigned char nan[4] = {0, 0, 0xC0, 0x7F};
    struct convert_options options = options_for("ckpt_nano_cuda_origmod.pth", "teacher");
    size_t n;
    char *record = zip_load(golden, "data/0", &n);
    zip_edit(golden, made, "data/0", record, nan, sizeof nan);
    free(record);
    options.checkpoint = made;
    assert_not_converted(&options, STATUS_INVALID_ARGUMENT, "no finite number");
    ck_assert(!file_exists(model, "model.safetensors"));
}
END_TEST

START_TEST(checks_and_copies_the_tokenizer)
{
    char tokenizer[PATH_ROOM];
    struct convert_options options = options_for("ckpt_nano_full.pth", NULL);
    struct convert_report report;
    path_in(directory, "tokenizer.json", tokenizer);
    options.tokenizer = tokenizer;
    assert_not_converted(&options, STATUS_NOT_FOUND, "tokenizer.json");
    text_write(directory, "tokenizer.json", "{}");
    assert_not_converted(&options, STATUS_INVALID_ARGUMENT, "tokenizer.json");
    snprintf(tokenizer, sizeof tokenizer, "%s/models/books-mini/tokenizer.json", getenv("MILLRACE_SOURCE"));
    assert_not_converted(&options, STATUS_INVALID_ARGUMENT, "tokenizer.json"); /* 2048 tokens, 40 rows */
    ck_assert(!file_exists(model, "tokenizer.json"));
    options.tokenizer = NULL;
    assert_converted(&options, &report);
    ck_assert(!file_exists(model, "tokenizer.json"));
}
END_TEST

/* Bytes that are being put together. */
struct program {
    char bytes[1 << 16];
    size_t n;
};

static void put(struct program *program, const void *bytes, size_t n)
{
    ck_assert_uint_le(program->n + n, sizeof program->bytes);
    memcpy(program->bytes + program->n, bytes, n);
    program->n += n;
}

static void put_text(struct program *program, const char *text)
{
    const uint32_t length = (uint32_t)strlen(text);
    put(program, "X", 1);
    put(program, &length, sizeof length);
    put(program, text, length);
}

static void put_integer(struct program *program, int32_t number)
{
    put(program, "J", 1);
    put(program, &number, sizeof number);
}

/* A tensor of the wanted shape in which every element is the one element of storage "0". */
static void put_expanded(struct program *program, const struct model_tensor *tensor)
{
    put_text(program, tensor->name);
    put(program, "ctorch._utils\n_rebuild_tensor_v2\n((", strlen("ctorch._utils\n_rebuild_tensor_v2\n(("));
    put_text(program, "storage");
    put(program, "ctorch\nFloatStorage\n", strlen("ctorch\nFloatStorage\n"));
    put_text(program, "0");
    put_text(program, "cpu");
    put(program, "K\1tQK\0(", 7);
    for (int i = 0; i < tensor->n_dimensions; i++)
        put_integer(program, (int32_t)tensor->shape[i]);
    put(program, "t(", 2);
    for (int i = 0; i < tensor->n_dimensions; i++)
        put(program, "K\0", 2);
    put(program, "ttR", 3);
}

/* {"model": the layout's tensors, expanded} and one float. */
static void make_expanded(const struct model_config *config)
{
    static const float one = 1;
    struct program *program = calloc(1, sizeof *program);
    struct model_tensor tensor;
    put(program, "\x80\2}", 3);
    put_text(program, "model");
    put(program, "}(", 2);
    for (int i = 0; i < model_layout_count(config); i++) {
        model_layout_at(config, i, &tensor);
        put_expanded(program, &tensor);
    }
    put(program, "us.", 3);
    const struct zip_record records[] = {
        {"X/data.pkl", program->bytes, program->n, 0}, {"X/data/0", &one, sizeof one, 0}, {NULL, NULL, 0, 0}};
    zip_make(made, records);
    free(program);
}

/* A view may repeat one number without end; a disk must not be filled with it. */
START_TEST(refuses_to_blow_up_a_small_file)
{
    struct convert_options options = options_for("ckpt_nano_full.pth", NULL);
    struct model_config config = golden_config("teacher");
    struct convert_report report;
    make_expanded(&config);
    options.checkpoint = made;
    assert_not_converted(&options, STATUS_INVALID_ARGUMENT, "the file cannot hold them");
    ck_assert(!file_exists(model, "model.safetensors"));
    config.hidden = 8, config.n_heads = 1, config.n_blocks = 1, config.condition = 1, config.vocabulary = 8;
    ck_assert_int_eq(model_config_complete(&config, NULL), STATUS_OK);
    make_expanded(&config);
    assert_converted(&options, &report); /* a few kilobytes out of a few */
    ck_assert_int_eq(report.config.hidden, 8);
}
END_TEST

START_TEST(names_must_be_names)
{
    struct convert_options options = options_for("ckpt_nano_full.pth", NULL);
    options.name = "a/b";
    assert_not_converted(&options, STATUS_INVALID_ARGUMENT, "\"name\" must be");
    options.name = "0123456789012345678901234567890123456789012345678901234567890123";
    assert_not_converted(&options, STATUS_INVALID_ARGUMENT, "has 64 characters");
}
END_TEST

Suite *convert_suite(void)
{
    Suite *suite = suite_create("convert");
    TCase *tests = tcase_create("convert");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, converts_every_layout_bit_for_bit, 0, (int)(sizeof layouts / sizeof *layouts));
    tcase_add_test(tests, tells_the_shapes_and_records_the_origin);
    tcase_add_test(tests, a_mask_source_leaves_one_row_for_the_mask);
    tcase_add_test(tests, rounds_matrices_to_bf16);
    tcase_add_test(tests, offers_a_choice_and_says_what_there_is);
    tcase_add_test(tests, never_writes_over_a_model);
    tcase_add_loop_test(tests, refuses_edited_checkpoints, 0, (int)(sizeof edits / sizeof *edits));
    tcase_add_test(tests, takes_the_heads_from_the_option);
    tcase_add_test(tests, refuses_values_that_are_not_finite);
    tcase_add_test(tests, checks_and_copies_the_tokenizer);
    tcase_add_test(tests, refuses_to_blow_up_a_small_file);
    tcase_add_test(tests, names_must_be_names);
    suite_add_tcase(suite, tests);
    return suite;
}
