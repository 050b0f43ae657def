#include <check.h>
#include <stdio.h>
#include <string.h>

#include "cli/convert/models.h"
#include "common/model/layout.h"
#include "tests/model/suites.h"
#include "tests/model/support.h"

static enum status parse(const char *json, struct model_config *config, struct error *error)
{
    return model_config_parse(json, strlen(json), "dir/config.json", config, error);
}

/* What `millrace models` lists is what the readers read. */
START_TEST(reads_what_is_listed)
{
    for (int i = 0; published_model_at(i); i++) {
        const struct published_model *model = published_model_at(i);
        struct model_config config;
        struct error error = {0};
        ck_assert_msg(parse(model->config, &config, &error) == STATUS_OK, "%s: %s", model->name, error.text);
        ck_assert_int_eq(config.architecture, model->architecture);
        ck_assert_double_eq_tol((double)model_config_parameters(&config) / 1e6, model->millions, 0.006);
        ck_assert_int_eq(config.head_size, 64);
    }
}
END_TEST

/* The specification's counts, from the published files. */
START_TEST(counts_the_published_parameters)
{
    static const struct {
        int listed;
        uint64_t n;
        int n_ids, mask;
    } wanted[] = {{0, 169627218, 50258, 50257}, {1, 169627218, 50258, 50257}, {2, 169627218, 50258, -1},
                  {3, 139292986, 30522, -1},    {4, 169628755, 50259, 50258}, {5, 169627218, 50258, 50257}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct model_config config;
        ck_assert_int_eq(parse(published_model_at(wanted[i].listed)->config, &config, NULL), STATUS_OK);
        ck_assert_uint_eq(model_config_parameters(&config), wanted[i].n);
        ck_assert_int_eq(config.n_ids, wanted[i].n_ids);
        ck_assert_int_eq(config.mask_token, wanted[i].mask);
    }
}
END_TEST

static const struct {
    int listed; /* in `millrace models` */
    const char *from, *to, *words;
} wrong[] = {
    {0, "\"mdlm\"", "\"llama\"", "\"model_type\" is \"llama\", which is none that can be served"},
    {0, "\"return_dict\": false", "\"rope_scaling\": 2", "key \"rope_scaling\" is unknown"},
    {0, "\"return_dict\": false", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\" is true"},
    {0, "\"cond_dim\": 128", "\"cond_dim\": \"128\"", "\"cond_dim\" must be a whole number"},
    {0, "\"cond_dim\": 128, ", "", "key \"cond_dim\" is missing"},
    {0, "\"n_heads\": 12", "\"n_heads\": 7", "not a multiple of \"heads\" (7)"},
    {0, "\"vocab_size\": 50258", "\"vocab_size\": 1", "\"vocabulary\" is 0"},
    {0, "\"model_length\": 1024", "\"model_length\": 100000", "\"trained_length\" is 100000"},
    {0, "\"hidden_dim\": 768", "\"hidden_dim\": 99999999999", "\"hidden_dim\" is 99999999999"},
    {1, "absorb", "uniform", "\"graph\": \"type\" is \"uniform\"; only \"absorb\" is known"},
    {1, "loglinear", "geometric", "\"noise\": \"type\" is \"geometric\""},
    {1, "\"dropout\": 0.1", "\"rotary_base\": 7", "\"model\": key \"rotary_base\" is unknown"},
    {2, "\"causal\": false", "\"causal\": true", "\"causal\" is true: a causal network is another one"},
    {4, "\"p_uniform\": 0.2", "\"p_uniform\": 1", "\"p_uniform\" is 1; it must be 0 to below 1"},
    {4, "\"p_uniform\": 0.2, ", "", "key \"p_uniform\" is missing"},
    {5, "\"block_size\": 16", "\"block_size\": 0",
     "\"block_size\" is 0; it must be 1 to the longest text, 1024"},
    {5, "\"time_conditioning\": false", "\"time_conditioning\": true", "\"time_conditioning\" is true"},
};

START_TEST(refuses_another_network)
{
    char text[2048];
    const char *from = published_model_at(wrong[_i].listed)->config, *at = strstr(from, wrong[_i].from);
    struct model_config config;
    struct error error;
    ck_assert_ptr_nonnull(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - from), from, wrong[_i].to,
             at + strlen(wrong[_i].from));
    assert_refused(parse(text, &config, &error), STATUS_INVALID_ARGUMENT, &error, wrong[_i].words);
}
END_TEST

/* A published config, written in our own format and read again, says the same. */
START_TEST(survives_our_own_format)
{
    for (int i = 0; published_model_at(i); i++) {
        char directory[PATH_ROOM];
        struct model_config config, again;
        struct error error = {0};
        ck_assert_int_eq(parse(published_model_at(i)->config, &config, &error), STATUS_OK);
        config.n_time_grid = 3;
        config.time_grid[1] = 0.25;
        config.time_grid[2] = 1;
        directory_make(directory);
        ck_assert_int_eq(model_config_write(directory, &config, NULL, &error), STATUS_OK);
        memset(&again, 0, sizeof again);
        enum status status = model_config_read(directory, &again, &error);
        ck_assert_msg(status == STATUS_OK, "%s", error.text);
        ck_assert_mem_eq(&config, &again, offsetof(struct model_config, time_grid));
        ck_assert_double_eq(again.time_grid[1], 0.25);
        ck_assert_int_eq(again.default_solver, config.default_solver);
        directory_remove(directory);
    }
}
END_TEST

static const struct {
    const char *grid, *words;
} grids[] = {{"[0, 0.5]", "must rise from 0 to 1"},
             {"[0, 0.5, 0.5, 1]", "must rise from 0 to 1"},
             {"[0, \"x\", 1]", "\"time_grid\"[1] must be a number"},
             {"[1]", "must be a list of 2 to 64 numbers"}};

START_TEST(refuses_other_time_grids)
{
    char text[1024];
    struct model_config config;
    struct error error;
    snprintf(
        text, sizeof text,
        "{\"format\": \"millrace-1\", \"name\": \"m\", \"architecture\": \"mdlm\", \"vocabulary\": 60, "
        "\"hidden\": "
        "32, \"heads\": 2, \"blocks\": 1, \"condition\": 16, \"source\": \"mask\", \"scheduler\": {\"type\": "
        "\"log-linear\"}, \"trained_length\": 16, \"max_length\": 16, \"default_steps\": 8, \"max_steps\": "
        "64, "
        "\"time_conditioning\": false, \"time_grid\": %s}",
        grids[_i].grid);
    assert_refused(parse(text, &config, &error), STATUS_INVALID_ARGUMENT, &error, grids[_i].words);
}
END_TEST

Suite *published_suite(void)
{
    Suite *suite = suite_create("published");
    TCase *cases = tcase_create("published");
    tcase_add_test(cases, reads_what_is_listed);
    tcase_add_test(cases, counts_the_published_parameters);
    tcase_add_loop_test(cases, refuses_another_network, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(cases, survives_our_own_format);
    tcase_add_loop_test(cases, refuses_other_time_grids, 0, sizeof grids / sizeof *grids);
    suite_add_tcase(suite, cases);
    return suite;
}
