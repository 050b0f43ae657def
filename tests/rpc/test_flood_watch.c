/* Which connections are hung up on, and which hosts are left out: with lists made by hand. */
#include <check.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/rpc/flood_watch.h"
#include "common/rpc/listen_watch.h"

enum { MESSAGE = 1 << 20 };

static struct traffic *traffic;
static struct flood_watch *watch;
static int n_hung_up;

static void set_up(void)
{
    traffic = traffic_create();
    watch = flood_watch_create(traffic, MESSAGE);
    n_hung_up = 0;
}

static void tear_down(void)
{
    flood_watch_free(watch);
    traffic_free(traffic);
}

static struct peer_key key_of(const char *text)
{
    struct peer_key key;
    ck_assert_msg(peer_key_parse(text, &key), "%s", text);
    return key;
}

static void hang_up(void *context, const struct connection *connection, const char *why)
{
    (void)context, (void)connection;
    ck_assert_ptr_nonnull(why);
    n_hung_up++;
}

static void look(struct connection *connection, double now)
{
    struct connection_list list = {.items = connection, .n = 1};
    flood_watch_look(watch, &list, now, hang_up, NULL);
}

START_TEST(addresses_of_grpc_are_read)
{
    struct peer_key mapped = key_of("ipv4:127.0.0.1:40112"), six = key_of("ipv6:%5B::1%5D:7"), none;
    ck_assert(IN6_IS_ADDR_V4MAPPED(&mapped.host) && mapped.port == 40112);
    ck_assert(IN6_IS_ADDR_LOOPBACK(&six.host) && six.port == 7);
    struct peer_key bare = key_of("ipv6:[::1]:7");
    ck_assert(peer_key_equal(&bare, &six) && !peer_key_equal(&bare, &mapped));
    ck_assert(!peer_key_parse("unix:/tmp/socket", &none));
    ck_assert(!peer_key_parse("unix", &none));
    ck_assert(!peer_key_parse("", &none));
    ck_assert(!peer_key_parse("ipv4:1.2.3.4.5:1", &none));
}
END_TEST

START_TEST(bytes_that_become_messages_are_fine)
{
    struct connection connection = {.descriptor = -1, .peer = key_of("ipv4:10.0.0.1:1")};
    for (int i = 0; i < 100; i++) {
        connection.received_bytes += 10 * MESSAGE;
        traffic_add_useful(traffic, &connection.peer, 9 * MESSAGE);
        look(&connection, 1 + 0.1 * i);
        ck_assert_int_eq(connection.is_new, i == 0);
    }
    ck_assert_int_eq(n_hung_up, 0);
}
END_TEST

START_TEST(bytes_in_vain_are_not)
{
    struct connection connection = {.descriptor = -1, .peer = key_of("ipv4:10.0.0.1:1")};
    int i = 0;
    for (; i < 100 && !n_hung_up; i++) {
        connection.received_bytes += MESSAGE;
        look(&connection, 1 + 0.1 * i);
    }
    ck_assert_int_ge(i, FLOOD_SLACK_BYTES / MESSAGE);
    ck_assert_int_le(i, FLOOD_SLACK_BYTES / MESSAGE + 4);
}
END_TEST

START_TEST(calls_that_wait_for_messages_may_send_them)
{
    struct connection connection = {.descriptor = -1, .peer = key_of("ipv4:10.0.0.1:1")};
    traffic_add_reading(traffic, &connection.peer, 100);
    connection.received_bytes = 110 * (uint64_t)MESSAGE;
    look(&connection, 1);
    look(&connection, 1.1);
    ck_assert_int_eq(n_hung_up, 0);
    connection.received_bytes += 10 * MESSAGE;
    look(&connection, 1.2);
    ck_assert_int_eq(n_hung_up, 1);
}
END_TEST

/* What a slow stream of control frames sends in an hour, and what a reader acknowledges. */
START_TEST(a_little_at_a_time_is_fine)
{
    struct connection connection = {.descriptor = -1, .peer = key_of("ipv4:10.0.0.1:1")};
    for (int i = 0; i < 3600; i++) {
        connection.received_bytes += 100000;
        look(&connection, 1 + i);
    }
    for (int i = 0; i < 1000; i++) {
        connection.sent_bytes += 200 * MESSAGE;
        connection.received_bytes += 3 * MESSAGE;
        look(&connection, 4000 + i);
    }
    ck_assert_int_eq(n_hung_up, 0);
}
END_TEST

START_TEST(calls_in_vain_are_counted)
{
    struct connection connection = {.descriptor = -1, .peer = key_of("ipv4:10.0.0.1:1")};
    for (int i = 0; i < 100; i++) { /* 900 a second */
        for (int j = 0; j < 90; j++)
            traffic_add_vain(traffic, &connection.peer);
        look(&connection, 1 + 0.1 * i);
    }
    ck_assert_int_eq(n_hung_up, 0);
    for (int i = 0; i < 10; i++) { /* 3,000 a second */
        for (int j = 0; j < 300; j++)
            traffic_add_vain(traffic, &connection.peer);
        look(&connection, 11 + 0.1 * i);
    }
    ck_assert_int_ge(n_hung_up, 1);
}
END_TEST

/* ---- who waits to be let in ---- */

static int listen_here(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 64), 0);
    return listener;
}

/* Does a connection from there come in? */
static bool is_let_in(int listener, const char *from)
{
    struct sockaddr_in here, source = {.sin_family = AF_INET};
    socklen_t size = sizeof here;
    int client = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, from, &source.sin_addr);
    getsockname(listener, (struct sockaddr *)&here, &size);
    ck_assert_int_eq(bind(client, (struct sockaddr *)&source, sizeof source), 0);
    const struct timeval patience = {.tv_usec = 300000};
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    bool connected = !connect(client, (struct sockaddr *)&here, sizeof here);
    close(client);
    return connected;
}

static struct connection_list crowd(struct connection *items, size_t n, const char *host, int listener)
{
    for (size_t i = 0; i < n; i++) {
        char text[64];
        snprintf(text, sizeof text, "ipv4:%s:%zu", i % 10 ? host : "127.0.0.1", 1000 + i);
        items[i] = (struct connection){.descriptor = -1, .peer = key_of(text), .is_new = true};
    }
    return (struct connection_list){.items = items, .n = n, .listener = listener, .n_queued = LISTEN_CROWD};
}

START_TEST(who_crowds_is_left_out_for_a_while)
{
    struct connection items[100];
    struct listen_watch listening = {0};
    int listener = listen_here();
    struct connection_list list = crowd(items, 100, "127.0.0.9", listener);
    struct peer_key crowder = key_of("ipv4:127.0.0.9:1");
    list.n_queued = LISTEN_CROWD - 1;
    ck_assert_ptr_null(listen_watch_look(&listening, &list, 1).left_out);
    ck_assert(is_let_in(listener, "127.0.0.9"));
    list.n_queued = LISTEN_CROWD;
    struct listen_news news = listen_watch_look(&listening, &list, 2);
    ck_assert_ptr_nonnull(news.left_out);
    ck_assert(!memcmp(news.left_out, &crowder.host, sizeof crowder.host));
    ck_assert(!is_let_in(listener, "127.0.0.9"));
    ck_assert(is_let_in(listener, "127.0.0.1"));
    list.n_queued = 0;
    listen_watch_look(&listening, &list, 2.4);
    ck_assert(!is_let_in(listener, "127.0.0.9"));
    listen_watch_look(&listening, &list, 2.6);
    ck_assert(is_let_in(listener, "127.0.0.9"));
    list.n_queued = LISTEN_CROWD;
    listen_watch_look(&listening, &list, 3); /* and twice as long the second time */
    list.n_queued = 0;
    listen_watch_look(&listening, &list, 3.9);
    ck_assert(!is_let_in(listener, "127.0.0.9"));
    listen_watch_look(&listening, &list, 4.1);
    ck_assert(is_let_in(listener, "127.0.0.9"));
    close(listener);
}
END_TEST

START_TEST(a_queue_that_nobody_accepts_from_is_seen)
{
    struct connection one = {.descriptor = -1, .peer = key_of("ipv4:127.0.0.1:1")};
    struct connection_list list = {.items = &one, .n = 1, .listener = 0, .n_queued = 1};
    struct listen_watch listening = {0};
    one.is_new = true;
    ck_assert(!listen_watch_look(&listening, &list, 1).is_dead);
    ck_assert(!listen_watch_look(&listening, &list, 9).is_dead); /* somebody is let in */
    one.is_new = false;
    ck_assert(!listen_watch_look(&listening, &list, 10).is_dead);
    ck_assert(!listen_watch_look(&listening, &list, 11).is_dead);
    ck_assert(listen_watch_look(&listening, &list, 12.1).is_dead);
    list.n_queued = 0;
    ck_assert(!listen_watch_look(&listening, &list, 20).is_dead);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("floods");
    TCase *cases = tcase_create("floods");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, addresses_of_grpc_are_read);
    tcase_add_test(cases, bytes_that_become_messages_are_fine);
    tcase_add_test(cases, bytes_in_vain_are_not);
    tcase_add_test(cases, calls_that_wait_for_messages_may_send_them);
    tcase_add_test(cases, a_little_at_a_time_is_fine);
    tcase_add_test(cases, calls_in_vain_are_counted);
    tcase_add_test(cases, who_crowds_is_left_out_for_a_while);
    tcase_add_test(cases, a_queue_that_nobody_accepts_from_is_seen);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
