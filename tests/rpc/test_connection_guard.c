/* The guard of a port's connections, without gRPC: here sockets open and close at moments that gRPC would
 * seldom hit. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/rpc/connection_guard.h"

enum { MOST = 100, FLOOD = 150 };

static int listener, port;

struct line {
    int client, server;
};

static struct sockaddr_in address_of(const char *host, int number)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    inet_pton(AF_INET, host, &address.sin_addr);
    return address;
}

static void start_listening(void)
{
    struct sockaddr_in address = address_of("127.0.0.1", 0);
    socklen_t size = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (const struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(listener, FLOOD), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    port = ntohs(address.sin_port);
}

/* A connection to us from another of this machine's addresses. */
static struct line connect_from(const char *host)
{
    struct sockaddr_in from = address_of(host, 0), to = address_of("127.0.0.1", port);
    struct line line = {.client = socket(AF_INET, SOCK_STREAM, 0)};
    ck_assert_int_eq(bind(line.client, (const struct sockaddr *)&from, sizeof from), 0);
    ck_assert_int_eq(connect(line.client, (const struct sockaddr *)&to, sizeof to), 0);
    line.server = accept(listener, NULL, NULL);
    ck_assert_int_ge(line.server, 0);
    return line;
}

static bool is_open(struct line line)
{
    char byte;
    return recv(line.client, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* Whether one of n lines is hung up on within a time. */
static bool hung_up_within(const struct line *lines, int n, int timeout_ms)
{
    struct pollfd ends[FLOOD];
    for (int i = 0; i < n; i++)
        ends[i] = (struct pollfd){.fd = lines[i].client, .events = POLLIN};
    int n_ready = poll(ends, (nfds_t)n, timeout_ms);
    ck_assert_int_ge(n_ready, 0);
    return n_ready > 0;
}

static void hang_up(struct line line)
{
    close(line.client);
    close(line.server);
}

static struct traffic *traffic;

static struct connection_guard *start_guard(void)
{
    struct connection_guard *guard;
    struct error error;
    const struct connection_guard_options options = {
        .port = port, .most = MOST, .traffic = traffic, .max_message_bytes = 1 << 20};
    ck_assert_msg(!connection_guard_start(&options, &guard, &error), "%s", error.text);
    return guard;
}

START_TEST(who_has_the_most_is_hung_up_on)
{
    struct line lines[FLOOD], honest;
    start_listening();
    honest = connect_from("127.0.0.1");
    for (int i = 0; i < FLOOD; i++)
        lines[i] = connect_from("127.0.0.9");
    struct connection_guard *guard = start_guard();
    ck_assert_msg(hung_up_within(lines, FLOOD, 20000), "nobody was hung up on");
    connection_guard_stop(guard); /* it ends what it has begun */
    int n_open = 0;
    for (int i = 0; i < FLOOD; i++) {
        n_open += is_open(lines[i]);
        hang_up(lines[i]);
    }
    ck_assert_int_eq(n_open, MOST / 10 * 9 - 1); /* and the honest one */
    ck_assert(is_open(honest));
    hang_up(honest);
    close(listener);
}
END_TEST

/* The flood ends by itself at any moment, also while the guard chooses, and a newcomer gets the number of
 * what has gone. */
START_TEST(a_flood_that_ends_by_itself_costs_nobody_else)
{
    start_listening();
    struct line honest = connect_from("127.0.0.1");
    struct connection_guard *guard = start_guard();
    for (double end = clock_seconds() + 3; clock_seconds() < end;) {
        struct line first = connect_from("127.0.0.9"), last = first;
        for (int i = 1; i < FLOOD; i++)
            last = connect_from("127.0.0.9");
        ck_assert_int_eq(close_range((unsigned)first.client, (unsigned)last.server, 0), 0);
        struct line newcomer = connect_from("127.0.0.1");
        ck_assert_msg(is_open(honest), "the honest one was hung up on");
        ck_assert_msg(!hung_up_within(&newcomer, 1, 1), "the newcomer was hung up on");
        hang_up(newcomer);
    }
    connection_guard_stop(guard);
    ck_assert_msg(is_open(honest), "the honest one was hung up on");
    hang_up(honest);
    close(listener);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guard");
    TCase *cases = tcase_create("connections");
    tcase_set_timeout(cases, 30);
    tcase_add_test(cases, who_has_the_most_is_hung_up_on);
    tcase_add_test(cases, a_flood_that_ends_by_itself_costs_nobody_else);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    traffic = traffic_create();
    srunner_run_all(runner, CK_ENV);
    traffic_free(traffic);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
