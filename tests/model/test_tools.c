#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/convert/checkpoint_print.h"
#include "cli/check/inspection.h"
#include "cli/convert/random_normal.h"
#include "cli/convert/random.h"
#include "common/model/layout.h"
#include "tests/model/convert_suites.h"
#include "tests/model/support.h"

static char directory[PATH_ROOM], model[PATH_ROOM];

static void set_up(void)
{
    directory_make(directory);
    path_in(directory, "model", model);
}

static void tear_down(void)
{
    directory_remove(directory);
}

START_TEST(normal_numbers_are_normal)
{
    enum { N = 1 << 20 };
    struct normal_table *table = malloc(sizeof *table);
    float *x = malloc(N * sizeof *x);
    double sum = 0, squares = 0, fourth = 0;
    int within = 0, n_repeated = 0;
    normal_table_init(table);
    normal_fill(table, 7, 1, 0, N, 2, x);
    for (int i = 0; i < N; i++) {
        const double z = (double)x[i] / 2;
        sum += z, squares += z * z, fourth += z * z * z * z;
        within += fabs(z) < 1;
        for (int j = 1; j <= 8 && j <= i; j++)
            n_repeated += x[i] == x[i - j];
    }
    ck_assert_double_lt(fabs(sum / N), 5 / sqrt(N));
    ck_assert_double_lt(fabs(squares / N - 1), 5 * sqrt(2.0 / N));
    ck_assert_double_lt(fabs(fourth / N - 3), 5 * sqrt(96.0 / N));
    ck_assert_double_lt(fabs((double)within / N - erf(M_SQRT1_2)), 5 * 0.47 / sqrt(N));
    ck_assert_int_lt(n_repeated, 8 * N / 10000); /* 2^-16 is expected */
    free(x);
    free(table);
}
END_TEST

START_TEST(normal_numbers_depend_on_their_place_only)
{
    float whole[64], part[40], other[64];
    struct normal_table *table = malloc(sizeof *table);
    normal_table_init(table);
    normal_fill(table, 1, 2, 0, 64, 1, whole);
    normal_fill(table, 1, 2, 24, 40, 1, part);
    ck_assert_mem_eq(whole + 24, part, sizeof part);
    normal_fill(table, 1, 3, 0, 64, 1, other);
    ck_assert_mem_ne(whole, other, sizeof whole);
    normal_fill(table, 2, 2, 0, 64, 1, other);
    ck_assert_mem_ne(whole, other, sizeof whole);
    free(table);
}
END_TEST

static struct random_options nano(void)
{
    return (struct random_options){
        .size = "nano", .directory = model, .seed = 1, .vocabulary = 300, .dtype = DTYPE_F32};
}

static double deviation(const struct tensors *tensors, const char *name)
{
    const struct tensor *tensor = tensors_find(tensors, name);
    const size_t n = tensor->size_bytes / sizeof(float);
    const float *x = tensor->data;
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    return sqrt(squares / (double)n);
}

START_TEST(a_random_model_is_a_model_of_sane_scale)
{
    const struct random_options options = nano();
    struct model_config config, read;
    struct tensors *tensors;
    struct error error;
    ck_assert_int_eq(random_model(&options, &config, &error), STATUS_OK);
    ck_assert_int_eq(model_config_read(model, &read, &error), STATUS_OK);
    ck_assert_int_eq(read.vocabulary, 300);
    ck_assert_int_eq(tensors_open(model, &tensors, &error), STATUS_OK);
    ck_assert_int_eq(tensors_check_model(tensors, &read, &error), STATUS_OK);
    ck_assert_double_eq_tol(deviation(tensors, "vocab_embed.weight"), 1, 0.05);
    ck_assert_double_eq_tol(deviation(tensors, "blocks.1.qw.weight"), 1 / 8.0, 0.01);
    ck_assert_double_eq_tol(deviation(tensors, "output_layer.linear.weight"), 3 / 8.0, 0.02);
    ck_assert_double_gt(deviation(tensors, "blocks.0.adaLN_modulation.weight"), 0.01);
    ck_assert_double_eq(deviation(tensors, "blocks.0.norm1.weight"), 1);
    ck_assert_double_eq(((const float *)tensors_find(tensors, "rotary_emb.inv_freq")->data)[0], 1);
    tensors_close(tensors);
    ck_assert(!file_exists(model, "tokenizer.json"));
}
END_TEST

START_TEST(the_seed_is_the_model)
{
    struct random_options options = nano();
    char again[PATH_ROOM], path[PATH_ROOM];
    struct model_config config;
    struct error error;
    size_t n, m;
    path_in(directory, "again", again);
    ck_assert_int_eq(random_model(&options, &config, &error), STATUS_OK);
    options.directory = again;
    ck_assert_int_eq(random_model(&options, &config, &error), STATUS_OK);
    char *one = file_load(path_in(model, "model.safetensors", path), &n);
    char *two = file_load(path_in(again, "model.safetensors", path), &m);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(one, two, n);
    free(one);
    free(two);
    assert_refused(random_model(&options, &config, &error), STATUS_ALREADY_EXISTS, &error, "already has");
    options.size = "2B";
    assert_refused(random_model(&options, &config, &error), STATUS_INVALID_ARGUMENT, &error,
                   "nano, mini, 0.17B");
}
END_TEST

START_TEST(bf16_halves_the_matrices)
{
    struct random_options options = nano();
    struct model_config config;
    struct tensors *tensors;
    struct error error;
    options.dtype = DTYPE_BF16;
    ck_assert_int_eq(random_model(&options, &config, &error), STATUS_OK);
    ck_assert_int_eq(tensors_open(model, &tensors, &error), STATUS_OK);
    ck_assert_int_eq(tensors_check_model(tensors, &config, &error), STATUS_OK);
    ck_assert_int_eq(tensors_find(tensors, "vocab_embed.weight")->dtype, DTYPE_BF16);
    ck_assert_int_eq(tensors_find(tensors, "output_layer.linear.bias")->dtype, DTYPE_F32);
    tensors_close(tensors);
}
END_TEST

START_TEST(inspects_for_people_and_for_programs)
{
    const struct random_options options = nano();
    struct model_config config;
    struct inspection inspection;
    struct error error;
    char *text = NULL;
    size_t n;
    ck_assert_int_eq(random_model(&options, &config, &error), STATUS_OK);
    ck_assert_int_eq(inspection_open(model, 2, &inspection, &error), STATUS_OK);
    ck_assert_int_eq(inspection.n_tokens, -1);
    FILE *out = open_memstream(&text, &n);
    inspection_print(&inspection, true, out);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "random-nano ("));
    ck_assert_ptr_nonnull(strstr(text, "2 ranks"));
    ck_assert_ptr_nonnull(strstr(text, inspection.fingerprint));
    ck_assert_ptr_nonnull(strstr(text, "blocks.1.attn_out.weight"));
    free(text);
    out = open_memstream(&text, &n);
    ck_assert_int_eq(inspection_print_json(&inspection, true, out, &error), STATUS_OK);
    fclose(out);
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_int_eq(json_integer_value(json_object_get(object, "parameters")),
                     (json_int_t)model_config_parameters(&config));
    ck_assert_uint_eq(json_array_size(json_object_get(object, "tensors")),
                      (size_t)model_layout_count(&config));
    json_decref(object);
    free(text);
    inspection_release(&inspection);
}
END_TEST

START_TEST(inspects_books_mini)
{
    char path[PATH_ROOM];
    struct inspection inspection;
    struct error error;
    snprintf(path, sizeof path, "%s/models/books-mini", getenv("MILLRACE_SOURCE"));
    enum status status = inspection_open(path, 4, &inspection, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
    ck_assert_int_eq(inspection.n_tokens, inspection.config.vocabulary);
    ck_assert_uint_lt(inspection.largest_rank_bytes, tensors_file_bytes(inspection.tensors) / 2);
    inspection_release(&inspection);
}
END_TEST

START_TEST(says_what_a_checkpoint_offers)
{
    char path[PATH_ROOM], *text = NULL;
    struct error error;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    ck_assert_int_eq(checkpoint_print(golden_path("ckpt_main_step_190000.pth", path), out, &error),
                     STATUS_OK);
    ck_assert_int_eq(checkpoint_print(golden_path("ckpt_odd_tensors.pth", path), out, &error), STATUS_OK);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "190000"));
    ck_assert_ptr_nonnull(strstr(text, "fs-dfm, 0.29 million parameters"));
    ck_assert_ptr_nonnull(strstr(text, "dfm, 0.27 million parameters"));
    ck_assert_ptr_nonnull(strstr(text, "--weights teacher"));
    ck_assert_ptr_nonnull(strstr(text, "cannot be converted: tensor \"vocab_embed.weight\" is missing"));
    free(text);
}
END_TEST

START_TEST(inspects_nothing_that_cannot_be_served)
{
    struct inspection inspection;
    struct random_options options = nano();
    struct model_config config;
    struct error error;
    assert_refused(inspection_open(model, 1, &inspection, &error), STATUS_NOT_FOUND, &error,
                   "millrace convert"); /* nobody has made it yet */
    ck_assert_int_eq(random_model(&options, &config, &error), STATUS_OK);
    text_write(model, "tokenizer.json", "{");
    assert_refused(inspection_open(model, 1, &inspection, &error), STATUS_INVALID_ARGUMENT, &error,
                   "tokenizer.json");
}
END_TEST

Suite *tools_suite(void)
{
    Suite *suite = suite_create("tools");
    TCase *tests = tcase_create("tools");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, normal_numbers_are_normal);
    tcase_add_test(tests, normal_numbers_depend_on_their_place_only);
    tcase_add_test(tests, a_random_model_is_a_model_of_sane_scale);
    tcase_add_test(tests, the_seed_is_the_model);
    tcase_add_test(tests, bf16_halves_the_matrices);
    tcase_add_test(tests, inspects_for_people_and_for_programs);
    tcase_add_test(tests, inspects_books_mini);
    tcase_add_test(tests, says_what_a_checkpoint_offers);
    tcase_add_test(tests, inspects_nothing_that_cannot_be_served);
    suite_add_tcase(suite, tests);
    return suite;
}
