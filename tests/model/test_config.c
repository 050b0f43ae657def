#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/model/suites.h"
#include "tests/model/support.h"

static const char valid[] =
    "{\"format\": \"millrace-1\", \"name\": \"books-mini\", \"architecture\": \"fs-dfm\", \"vocabulary\": "
    "2048,"
    " \"hidden\": 192, \"heads\": 4, \"blocks\": 4, \"condition\": 64, \"source\": \"uniform\","
    " \"scheduler\": {\"type\": \"polynomial\", \"exponent\": 1.5}, \"trained_length\": 128,"
    " \"max_length\": 1024, \"default_steps\": 8, \"max_steps\": 512, \"origin\": {\"file\": \"x.pth\"}}";

/* `valid` with the first `from` replaced by `to`. */
static void replaced(const char *from, const char *to, char text[2048])
{
    const char *at = strstr(valid, from);
    ck_assert_msg(at != NULL, "\"%s\" is not in the config", from);
    snprintf(text, 2048, "%.*s%s%s", (int)(at - valid), valid, to, at + strlen(from));
}

START_TEST(reads_every_key)
{
    struct model_config config;
    struct error error;
    ck_assert_int_eq(model_config_parse(valid, sizeof valid - 1, "here", &config, &error), STATUS_OK);
    ck_assert_str_eq(config.name, "books-mini");
    ck_assert_int_eq(config.architecture, ARCHITECTURE_FS_DFM);
    ck_assert_int_eq(config.source, SOURCE_UNIFORM);
    ck_assert_int_eq(config.vocabulary, 2048);
    ck_assert_int_eq(config.n_ids, 2048);
    ck_assert_int_eq(config.mask_token, -1);
    ck_assert_int_eq(config.hidden, 192);
    ck_assert_int_eq(config.n_heads, 4);
    ck_assert_int_eq(config.head_size, 48);
    ck_assert_int_eq(config.n_blocks, 4);
    ck_assert_int_eq(config.condition, 64);
    ck_assert_double_eq(config.scheduler_exponent, 1.5);
    ck_assert_int_eq(config.trained_length, 128);
    ck_assert_int_eq(config.max_length, 1024);
    ck_assert_int_eq(config.default_steps, 8);
    ck_assert_int_eq(config.max_steps, 512);
    ck_assert_uint_eq(model_config_parameters(&config), 2987008);
}
END_TEST

START_TEST(a_default_solver_may_be_named)
{
    char text[2048];
    struct model_config config;
    struct error error;
    ck_assert_int_eq(model_config_parse(valid, sizeof valid - 1, "here", &config, &error), STATUS_OK);
    ck_assert_int_eq(config.default_solver, SOLVER_CUMULATIVE);
    replaced("\"max_steps\": 512", "\"max_steps\": 512, \"default_solver\": \"euler\"", text);
    ck_assert_int_eq(model_config_parse(text, strlen(text), "here", &config, &error), STATUS_OK);
    ck_assert_int_eq(config.default_solver, SOLVER_MIXTURE_EULER);
}
END_TEST

START_TEST(a_mask_source_has_one_row_more)
{
    char text[2048];
    struct model_config config;
    struct error error;
    replaced("uniform", "mask", text);
    ck_assert_int_eq(model_config_parse(text, strlen(text), "here", &config, &error), STATUS_OK);
    ck_assert_int_eq(config.n_ids, 2049);
    ck_assert_int_eq(config.mask_token, 2048);
}
END_TEST

static const struct {
    const char *from, *to, *words;
} wrong[] = {
    {"millrace-1", "millrace-2", "\"format\" is \"millrace-2\""},
    {"\"books-mini\"", "\"../etc\"", "\"name\" must be"},
    {"\"books-mini\"", "\"\"", "\"name\" must be"},
    {"\"books-mini\"", "\".hidden\"", "\"name\" must be"},
    {"\"books-mini\"", "\"0123456789012345678901234567890123456789012345678901234567890123\"",
     "\"name\" must be"},
    {"\"books-mini\"", "7", "\"name\" must be a string"},
    {"fs-dfm", "gpt", "\"architecture\" is \"gpt\""},
    {"uniform", "noise", "\"source\" is \"noise\""},
    {"\"vocabulary\": 2048", "\"vocabulary\": 1", "\"vocabulary\" is 1; it must be 2 to 1048576"},
    {"\"vocabulary\": 2048", "\"vocabulary\": 1048577", "\"vocabulary\" is 1048577"},
    {"\"vocabulary\": 2048", "\"vocabulary\": 4294967298", "\"vocabulary\" is 4294967298"},
    {"\"vocabulary\": 2048", "\"vocabulary\": 99999999999999999999", "too big integer"},
    {"\"vocabulary\": 2048", "\"vocabulary\": 2048.0", "\"vocabulary\" must be a whole number"},
    {"\"vocabulary\": 2048", "\"vocabulary\": \"2048\"", "\"vocabulary\" must be a whole number"},
    {"\"vocabulary\": 2048,", "", "key \"vocabulary\" is missing"},
    {"\"hidden\": 192", "\"hidden\": 190", "\"hidden\" is 190, not a multiple of \"heads\" (4)"},
    {"\"hidden\": 192", "\"hidden\": 188", "the head size must be even"},
    {"\"hidden\": 192", "\"hidden\": 0", "\"hidden\" is 0"},
    {"\"hidden\": 192", "\"hidden\": -192", "\"hidden\" is -192"},
    {"\"heads\": 4", "\"heads\": 0", "\"heads\" is 0"},
    {"\"blocks\": 4", "\"blocks\": 1000000", "\"blocks\" is 1000000"},
    {"\"condition\": 64", "\"condition\": null", "\"condition\" must be a whole number"},
    {"1.5", "0", "\"exponent\" is 0; it must be above 0"},
    {"1.5", "-1", "\"exponent\" is -1"},
    {"1.5", "65", "at most 64"},
    {"1.5", "NaN", "invalid token"},
    {"1.5", "1e999", "real number overflow"},
    {"1.5", "\"1\"", "\"exponent\" must be a number"},
    {"polynomial", "cosine", "only \"polynomial\" is known"},
    {"\"type\"", "\"kind\"", "key \"kind\" of \"scheduler\" is unknown"},
    {"\"type\": \"polynomial\", \"exponent\": 1.5", "\"type\": \"cosine\"",
     "\"type\" is \"cosine\"; only \"polynomial\" is known"},
    {"\"type\": \"polynomial\", \"exponent\"", "\"type\": \"cosine\", \"shift\"",
     "\"type\" is \"cosine\"; only \"polynomial\" is known"},
    {"\"max_steps\": 512", "\"max_steps\": 512, \"default_solver\": 1",
     "\"default_solver\" must be a string"},
    {"\"max_steps\": 512", "\"max_steps\": 512, \"default_solver\": \"fast\"",
     "\"default_solver\" is \"fast\"; it must be cumulative, euler, dfm or stratified"},
    {"\"default_steps\": 8", "\"default_steps\": 513", "\"default_steps\" is 513, above \"max_steps\" (512)"},
    {"\"max_length\": 1024", "\"max_length\": 0", "\"max_length\" is 0"},
    {"\"max_length\"", "\"max_lenght\"", "key \"max_lenght\" of the config is unknown"},
    {"\"max_length\"", "\"trained_length\"", "duplicate object key"},
    {"{\"format\"", "[{\"format\"", "line 1"},
    {"\"books-mini\"", "\"a\\u0000b\"", "\\u0000"},
};

START_TEST(refuses_what_is_wrong)
{
    char text[2048];
    struct model_config config = {.hidden = 77};
    struct error error;
    replaced(wrong[_i].from, wrong[_i].to, text);
    assert_refused(model_config_parse(text, strlen(text), "dir/config.json", &config, &error),
                   STATUS_INVALID_ARGUMENT, &error, wrong[_i].words);
    ck_assert_msg(strncmp(error.text, "dir/config.json: ", 17) == 0, "\"%s\" names no file", error.text);
    ck_assert_int_eq(config.hidden, 77); /* untouched */
}
END_TEST

START_TEST(refuses_every_beginning)
{
    struct model_config config;
    struct error error;
    for (size_t n = 0; n < sizeof valid - 1; n++) {
        char *copy = malloc(n + 1); /* exactly as many bytes, so that reading on is seen */
        memcpy(copy, valid, n);
        ck_assert_int_eq(model_config_parse(copy, n, "here", &config, &error), STATUS_INVALID_ARGUMENT);
        free(copy);
    }
}
END_TEST

START_TEST(writes_what_it_reads)
{
    char directory[PATH_ROOM];
    struct model_config config = golden_config("masked_student"), again;
    struct error error;
    config.scheduler_exponent = 2.25;
    config.default_solver = SOLVER_STRATIFIED;
    directory_make(directory);
    ck_assert_int_eq(model_config_write(directory, &config, "{\"step\": 3}", &error), STATUS_OK);
    memset(&again, 0, sizeof again);
    ck_assert_int_eq(model_config_read(directory, &again, &error), STATUS_OK);
    ck_assert_str_eq(config.name, again.name);
    ck_assert_int_eq(config.mask_token, again.mask_token);
    ck_assert_int_eq(config.n_ids, again.n_ids);
    ck_assert_int_eq(config.architecture, again.architecture);
    ck_assert_double_eq(again.scheduler_exponent, 2.25);
    ck_assert_int_eq(again.default_solver, SOLVER_STRATIFIED);
    char *origin = model_config_origin(directory);
    ck_assert_ptr_nonnull(strstr(origin, "\"step\": 3"));
    free(origin);
    directory_remove(directory);
}
END_TEST

START_TEST(writes_no_config_that_cannot_be_read)
{
    char directory[PATH_ROOM];
    struct model_config config = golden_config("nano");
    struct error error;
    directory_make(directory);
    config.scheduler_exponent = NAN;
    assert_refused(model_config_write(directory, &config, NULL, &error), STATUS_INVALID_ARGUMENT, &error,
                   "exponent");
    config.scheduler_exponent = 1;
    assert_refused(model_config_write(directory, &config, "[]", &error), STATUS_INVALID_ARGUMENT, &error,
                   "origin");
    ck_assert(!file_exists(directory, "config.json"));
    directory_remove(directory);
}
END_TEST

START_TEST(says_what_to_do_about_a_missing_directory)
{
    char directory[PATH_ROOM], missing[PATH_ROOM];
    struct model_config config;
    struct error error;
    directory_make(directory);
    assert_refused(model_config_read(path_in(directory, "none/model", missing), &config, &error),
                   STATUS_NOT_FOUND, &error, "millrace convert");
    assert_refused(model_config_read(directory, &config, &error), STATUS_NOT_FOUND, &error, "config.json");
    text_write(directory, "file", "x");
    char path[PATH_ROOM];
    assert_refused(model_config_read(path_in(directory, "file", path), &config, &error),
                   STATUS_INVALID_ARGUMENT, &error, "not a directory");
    directory_remove(directory);
}
END_TEST

START_TEST(a_config_must_be_a_file_of_sane_size)
{
    char directory[PATH_ROOM], path[PATH_ROOM];
    struct model_config config;
    struct error error;
    char *big = malloc(MODEL_CONFIG_BYTES_MAX + 2);
    memset(big, ' ', MODEL_CONFIG_BYTES_MAX + 1);
    big[MODEL_CONFIG_BYTES_MAX + 1] = '\0';
    directory_make(directory);
    text_write(directory, "config.json", big);
    free(big);
    assert_refused(model_config_read(directory, &config, &error), STATUS_INVALID_ARGUMENT, &error,
                   "at most 1048576");
    remove(path_in(directory, "config.json", path));
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    assert_refused(model_config_read(directory, &config, &error), STATUS_INVALID_ARGUMENT, &error,
                   "not a regular file");
    directory_remove(directory);
}
END_TEST

Suite *config_suite(void)
{
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("config");
    tcase_add_test(tests, reads_every_key);
    tcase_add_test(tests, a_default_solver_may_be_named);
    tcase_add_test(tests, a_mask_source_has_one_row_more);
    tcase_add_loop_test(tests, refuses_what_is_wrong, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(tests, refuses_every_beginning);
    tcase_add_test(tests, writes_what_it_reads);
    tcase_add_test(tests, writes_no_config_that_cannot_be_read);
    tcase_add_test(tests, says_what_to_do_about_a_missing_directory);
    tcase_add_test(tests, a_config_must_be_a_file_of_sane_size);
    suite_add_tcase(suite, tests);
    return suite;
}
