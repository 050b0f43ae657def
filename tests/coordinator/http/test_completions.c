/* What a body of completions becomes, what of a text is committed, and whom a proxy speaks for. */
#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/http/completion_text.h"
#include "coordinator/http/completions_body.h"
#include "coordinator/http/proxies.h"
#include "tests/coordinator/request/fixture.h"

static struct error error;

/* ---- the body ---- */

static struct completions_body read(const char *text)
{
    struct completions_body body;
    ck_assert_msg(completions_body_read(text, strlen(text), &body, &error) == STATUS_OK, "%s", error.text);
    return body;
}

START_TEST(a_body_becomes_segments)
{
    struct completions_choice_options made;
    struct completions_body body =
        read("{\"prompt\":[\"a\",\"\"],\"suffix\":\"z\",\"max_tokens\":7,\"n\":2,\"seed\":-3}");
    ck_assert_uint_eq(completions_body_n_choices(&body), 4);
    completions_body_options(&body, 1, &made);
    ck_assert_uint_eq(made.options.n_segments, 3);
    ck_assert_str_eq(made.segments[0].text, "a");
    ck_assert_uint_eq(made.segments[1].gap, 7);
    ck_assert_str_eq(made.segments[2].text, "z");
    ck_assert_uint_eq(made.options.seed, (uint64_t)-2);
    completions_body_options(&body, 3, &made); /* the second prompt is empty, and left out */
    ck_assert_uint_eq(made.options.n_segments, 2);
    ck_assert_uint_eq(made.options.seed, 0);
    completions_body_release(&body);
}
END_TEST

START_TEST(sentences_name_fields_of_the_body)
{
    static const struct {
        const char *body, *from, *to;
    } cases[] = {
        {"{\"prompt\":\"a\"}", "infill.segments[0]: x", "prompt: x"},
        {"{\"prompt\":\"a\"}", "infill.segments[1]: x", "max_tokens: x"},
        {"{\"prompt\":\"a\",\"suffix\":\"b\"}", "infill.segments[2]: x", "suffix: x"},
        {"{\"prompt\":\"\"}", "infill.segments[0]: x", "max_tokens: x"},
        {"{\"prompt\":\"\",\"suffix\":\"b\"}", "infill.segments[1]: x", "suffix: x"},
        {"{\"prompt\":\"a\"}", "infill: x", "max_tokens: x"},
        {"{\"millrace\":{\"segments\":[{\"gap\":1}]}}", "infill.segments[4]: x", "millrace.segments[4]: x"},
        {"{\"prompt\":\"a\"}", "steps: x", "millrace.steps: x"},
        {"{\"prompt\":\"a\"}", "temperature: x", "temperature: x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct completions_body body = read(cases[i].body);
        error_set(&error, STATUS_INVALID_ARGUMENT, "%s", cases[i].from);
        completions_body_rename(&body, &error);
        ck_assert_str_eq(error.text, cases[i].to);
        completions_body_release(&body);
    }
}
END_TEST

/* ---- committed text ---- */

static struct served_model model;

/* Reads what is committed of a text that begins with a pinned "The", the rest from a text with masks at '#'.
 */
static char *committed(const char *text, bool is_last, const char *stop, bool early, bool *stopped)
{
    enum { MASK = 2047 };
    int32_t *ids, all[64];
    size_t n, length = 0;
    struct completion_text got;
    model.config.mask_token = MASK;
    for (const char *at = text; *at;) {
        size_t size = strcspn(at, "#");
        char *piece = strndup(at, size);
        ck_assert_int_eq(tokenizer_encode(model.tokenizer, piece, size, &ids, &n, &error), STATUS_OK);
        memcpy(all + length, ids, n * sizeof *ids);
        length += n;
        free(ids);
        free(piece);
        at += size;
        if (*at == '#')
            all[length++] = MASK, at++;
    }
    const struct completion_view view = {.model = &model,
                                         .from = 1,
                                         .to = (int)length,
                                         .written_from = 1,
                                         .commits_early = early,
                                         .stops = &stop,
                                         .n_stops = stop ? 1 : 0};
    ck_assert_int_eq(completion_text_read(&view, all, is_last, &got, &error), STATUS_OK);
    got.text[got.size] = '\0';
    if (stopped)
        *stopped = got.is_stopped;
    return got.text;
}

static void expect_committed(const char *text, bool is_last, const char *stop, bool early, const char *wanted)
{
    char *got = committed(text, is_last, stop, early, NULL);
    ck_assert_str_eq(got, wanted);
    free(got);
}

START_TEST(what_is_committed)
{
    bool stopped;
    expect_committed("The cat saw", false, NULL, false, ""); /* a uniform source: nothing before the end */
    expect_committed("The cat saw", true, NULL, false, " cat saw");
    expect_committed("The cat# saw#", false, NULL, true,
                     " cat"); /* a mask source: as far as no mask is left */
    expect_committed("The# cat", false, NULL, true, "");
    expect_committed("The cat# saw", false, "ta", true, " ca"); /* the t could begin the stop string */
    expect_committed("The cat saw", true, "ta", true, " cat saw");
    expect_committed("The cat# saw", false, "xyz", true, " cat");
    char *text = committed("The cat saw", true, " s", true, &stopped);
    ck_assert_str_eq(text, " cat");
    ck_assert(stopped);
    free(text);
}
END_TEST

START_TEST(spaces_of_the_prompt_are_not_written_twice)
{
    int32_t *ids;
    size_t n;
    struct completion_text text;
    ck_assert_int_eq(tokenizer_encode(model.tokenizer, "The  cat", 8, &ids, &n, &error), STATUS_OK);
    for (int spaces = 0; spaces <= 3; spaces++) {
        const struct completion_view view = {
            .model = &model, .from = 1, .to = (int)n, .written_from = 1, .n_spaces = spaces};
        ck_assert_int_eq(completion_text_read(&view, ids, true, &text, &error), STATUS_OK);
        ck_assert_str_eq(text.text, "  cat" + (spaces < 2 ? spaces : 2));
        free(text.text);
    }
    free(ids);
}
END_TEST

/* ---- proxies ---- */

static void expect_client(const char *trusted, const char *peer, const char *forwarded, const char *wanted)
{
    struct proxies proxies;
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    char name[64];
    bool is_ipv6 = inet_pton(AF_INET6, peer, &ipv6.sin6_addr) == 1;
    ck_assert_msg(proxies_parse(trusted, &proxies, &error) == STATUS_OK, "%s", error.text);
    ck_assert(is_ipv6 || inet_pton(AF_INET, peer, &ipv4.sin_addr) == 1);
    proxies_client(&proxies, is_ipv6 ? (const struct sockaddr *)&ipv6 : (const struct sockaddr *)&ipv4,
                   forwarded, name, sizeof name);
    ck_assert_str_eq(name, wanted);
    proxies_release(&proxies);
}

START_TEST(who_is_believed)
{
    expect_client(NULL, "10.0.0.1", "1.2.3.4", "10.0.0.1"); /* nobody is trusted */
    expect_client("10.0.0.0/8", "10.0.0.1", NULL, "10.0.0.1");
    expect_client("10.0.0.0/8", "10.0.0.1", "1.2.3.4", "1.2.3.4");
    expect_client("10.0.0.0/8", "11.0.0.1", "1.2.3.4", "11.0.0.1");
    expect_client("10.0.0.0/8", "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.9.9.9", "1.2.3.4");
    expect_client("10.0.0.0/8", "10.0.0.1", "10.1.1.1", "10.1.1.1"); /* all are trusted: the first */
    expect_client("10.0.0.0/9", "10.0.0.1", "1.2.3.4,10.128.0.1", "10.128.0.1");
    expect_client("::1, fd00::/8", "::1", "2001:db8::5, [fd00::1]:443", "[2001:db8::5]");
    expect_client("127.0.0.1", "::ffff:127.0.0.1", "1.2.3.4:55", "1.2.3.4"); /* a mapped address is IPv4 */
    expect_client("127.0.0.1", "127.0.0.1", "not an address", "127.0.0.1");
    expect_client("127.0.0.1", "127.0.0.1", ", ,", "127.0.0.1");
    expect_client("0.0.0.0/0", "9.9.9.9", "8.8.8.8", "8.8.8.8");
}
END_TEST

START_TEST(what_is_no_network)
{
    static const char *const wrong[] = {"10.0.0.0/33", "10.0.0/8", "x",          "10.0.0.0/",
                                        "10.0.0.0/-1", "::1/129",  "10.0.0.0/8x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct proxies proxies;
        ck_assert_int_eq(proxies_parse(wrong[i], &proxies, &error), STATUS_INVALID_ARGUMENT);
        ck_assert_ptr_nonnull(strstr(error.text, "--http-trusted-proxies"));
    }
}
END_TEST

static void open_model(void)
{
    open_demonstration_model(&model);
}

static void close_model(void)
{
    served_model_close(&model);
}

int main(void)
{
    Suite *suite = suite_create("completions");
    TCase *tests = tcase_create("completions");
    tcase_add_unchecked_fixture(tests, open_model, close_model);
    tcase_add_test(tests, a_body_becomes_segments);
    tcase_add_test(tests, sentences_name_fields_of_the_body);
    tcase_add_test(tests, what_is_committed);
    tcase_add_test(tests, spaces_of_the_prompt_are_not_written_twice);
    tcase_add_test(tests, who_is_believed);
    tcase_add_test(tests, what_is_no_network);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
