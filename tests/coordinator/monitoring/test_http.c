/* The pages for machines, asked over real sockets: what is answered, what is refused, and whom a limit cuts.
 */
#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coordinator/monitoring/http.h"

enum { PATIENCE_MS = 20000, MOST = 3 };

static unsigned write_hello(void *context, struct exposition *page)
{
    exposition_text(page, context);
    return 200;
}

static unsigned write_not_ready(void *context, struct exposition *page)
{
    (void)context;
    exposition_text(page, "not ready\n");
    return 503;
}

static unsigned write_incomplete(void *context, struct exposition *page)
{
    (void)context;
    exposition_text(page, "half");
    page->incomplete = true;
    return 200;
}

static const struct http_page pages[] = {
    {"/hello", "text/plain", write_hello},
    {"/readyz", "text/plain", write_not_ready},
    {"/broken", "text/plain", write_incomplete},
    {0},
};

static struct http_server *server;

static void start(void)
{
    static char content[] = "hello\n";
    struct error error;
    const struct http_options options = {
        .address = "127.0.0.1:0", .pages = pages, .context = content, .max_connections = MOST};
    ck_assert_msg(http_server_open(&options, &server, &error) == STATUS_OK, "%s", error.text);
}

static void stop(void)
{
    http_server_close(server);
}

static int call(void)
{
    const char *port = strrchr(http_server_address(server), ':') + 1;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(port)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int line = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(line, (const struct sockaddr *)&to, sizeof to), 0);
    return line;
}

/* Waits until there is something to read, or the other end has closed. */
static bool is_readable(int line, int timeout_ms)
{
    return poll(&(struct pollfd){.fd = line, .events = POLLIN}, 1, timeout_ms) == 1;
}

/* All that is answered until the server closes; the caller frees it. */
static char *answer_to(const char *request)
{
    char *answer = calloc(1, 1 << 16);
    size_t n = 0;
    int line = call();
    ck_assert_int_eq(send(line, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    for (;;) {
        ck_assert_msg(is_readable(line, PATIENCE_MS), "no answer");
        ssize_t got = recv(line, answer + n, (1 << 16) - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(line);
    return answer;
}

static void check_answer(const char *request, const char *first_line, const char *end)
{
    char *answer = answer_to(request);
    ck_assert_msg(!strncmp(answer, first_line, strlen(first_line)), "%.40s: %.200s", request, answer);
    size_t n = strlen(answer), n_end = strlen(end);
    ck_assert_msg(n >= n_end && !strcmp(answer + n - n_end, end), "%.40s: %.200s", request, answer);
    free(answer);
}

START_TEST(a_page_is_read_and_the_connection_closed)
{
    char *answer = answer_to("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
    ck_assert_ptr_nonnull(strcasestr(answer, "\r\nContent-Type: text/plain\r\n"));
    ck_assert_ptr_nonnull(strcasestr(answer, "\r\nCache-Control: no-store\r\n"));
    ck_assert_ptr_nonnull(strcasestr(answer, "\r\nConnection: close\r\n"));
    ck_assert_ptr_nonnull(strcasestr(answer, "\r\nContent-Length: 6\r\n"));
    ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\nhello\n"));
    free(answer);
    check_answer("GET /hello?a=b HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "\r\n\r\nhello\n");
    check_answer("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "\r\n\r\nnot ready\n");
}
END_TEST

START_TEST(the_head_alone_has_no_body)
{
    check_answer("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "\r\n\r\n");
}
END_TEST

START_TEST(other_paths_and_methods_are_refused)
{
    check_answer("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", "there is no such page\n");
    check_answer("GET /hello/ HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", "there is no such page\n");
    char *answer = answer_to("DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(strncmp(answer, "HTTP/1.1 405 ", 13), 0);
    ck_assert_ptr_nonnull(strcasestr(answer, "\r\nAllow: GET, HEAD\r\n"));
    free(answer);
}
END_TEST

START_TEST(a_head_above_eight_kibibytes_is_refused)
{
    static char request[12 << 10];
    size_t n = (size_t)sprintf(request, "GET /hello HTTP/1.1\r\nHost: x\r\nLong: ");
    memset(request + n, 'a', 9 << 10);
    strcpy(request + n + (9 << 10), "\r\n\r\n");
    check_answer(request, "HTTP/1.1 431 ", "");
}
END_TEST

START_TEST(half_a_page_is_not_served)
{
    char *answer = answer_to("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(strncmp(answer, "HTTP/1.1 5", 10), 0);
    ck_assert_ptr_null(strstr(answer, "half"));
    free(answer);
}
END_TEST

/* At the limit the oldest goes, even if it has begun to ask; those that stay are answered. */
START_TEST(the_oldest_connection_makes_room)
{
    int lines[MOST + 1];
    for (int i = 0; i < MOST; i++)
        lines[i] = call();
    ck_assert_int_eq(send(lines[0], "GET /he", 7, MSG_NOSIGNAL), 7);
    check_answer("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "hello\n");
    ck_assert_msg(is_readable(lines[0], PATIENCE_MS), "the oldest was not cut");
    char byte;
    ck_assert_int_le(recv(lines[0], &byte, 1, 0), 0);
    for (int i = 1; i < MOST; i++)
        ck_assert_msg(!is_readable(lines[i], 0), "connection %d was cut too", i);
    for (int i = 0; i < MOST; i++)
        close(lines[i]);
}
END_TEST

START_TEST(addresses_that_cannot_be_listened_on)
{
    struct http_server *second = NULL;
    struct error error;
    struct http_options options = {.address = "nothing", .pages = pages};
    ck_assert_int_eq(http_server_open(&options, &second, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(strncmp(error.text, "--metrics", 9), 0);
    options.address = "unix:/run/x";
    ck_assert_int_eq(http_server_open(&options, &second, &error), STATUS_INVALID_ARGUMENT);
    options.address = http_server_address(server);
    ck_assert_int_eq(http_server_open(&options, &second, &error), STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.text, options.address));
    ck_assert_ptr_null(second);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http");
    TCase *tests = tcase_create("http");
    tcase_add_checked_fixture(tests, start, stop);
    tcase_add_test(tests, a_page_is_read_and_the_connection_closed);
    tcase_add_test(tests, the_head_alone_has_no_body);
    tcase_add_test(tests, other_paths_and_methods_are_refused);
    tcase_add_test(tests, a_head_above_eight_kibibytes_is_refused);
    tcase_add_test(tests, half_a_page_is_not_served);
    tcase_add_test(tests, the_oldest_connection_makes_room);
    tcase_add_test(tests, addresses_that_cannot_be_listened_on);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
