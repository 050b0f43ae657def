/* Addresses as people write them: nothing is left for a library to guess. */
#include "common/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/address_socket.h"
#include "tests/common/suites.h"

static const struct {
    const char *text;
    enum address_use use;
    enum address_kind kind;
    const char *host, *port, *target;
} good[] = {
    {"127.0.0.1:7077", ADDRESS_TO_CALL, ADDRESS_TCP, "127.0.0.1", "7077", "dns:///127.0.0.1:7077"},
    {"localhost:0", ADDRESS_TO_LISTEN, ADDRESS_TCP, "localhost", "0", "dns:///localhost:0"},
    {"node-3.example.org:65535", ADDRESS_TO_CALL, ADDRESS_TCP, "node-3.example.org", "65535",
     "dns:///node-3.example.org:65535"},
    {"dns:///node-3:80", ADDRESS_TO_CALL, ADDRESS_TCP, "node-3", "80", "dns:///node-3:80"},
    {"dns:7077", ADDRESS_TO_CALL, ADDRESS_TCP, "dns", "7077", "dns:///dns:7077"}, /* a host of that name */
    {"unixhost:7077", ADDRESS_TO_CALL, ADDRESS_TCP, "unixhost", "7077", "dns:///unixhost:7077"},
    {"[::1]:7077", ADDRESS_TO_CALL, ADDRESS_TCP, "::1", "7077", "[::1]:7077"},
    {"[fe80::1%eth0]:7077", ADDRESS_TO_CALL, ADDRESS_TCP, "fe80::1%eth0", "7077", "[fe80::1%eth0]:7077"},
    {"[::]:0", ADDRESS_TO_LISTEN, ADDRESS_TCP, "::", "0", "[::]:0"},
    {"0.0.0.0:007077", ADDRESS_TO_LISTEN, ADDRESS_TCP, "0.0.0.0", "7077", "dns:///0.0.0.0:7077"},
    {"unix:/run/x", ADDRESS_TO_CALL, ADDRESS_UNIX, "/run/x", "", "unix:/run/x"},
    {"unix:///run/x", ADDRESS_TO_LISTEN, ADDRESS_UNIX, "/run/x", "", "unix:/run/x"},
    {"unix:two.sock", ADDRESS_TO_LISTEN, ADDRESS_UNIX, "two.sock", "", "unix:two.sock"},
    {"unix-abstract:a:b", ADDRESS_TO_CALL, ADDRESS_UNIX_ABSTRACT, "a:b", "", "unix-abstract:a:b"},
};

START_TEST(what_is_an_address_is_read)
{
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        struct error error;
        struct address address;
        char target[ADDRESS_TEXT_MAX];
        ck_assert_msg(address_parse(good[i].text, good[i].use, &address, &error) == STATUS_OK, "%s",
                      error.text);
        ck_assert_int_eq(address.kind, good[i].kind);
        ck_assert_str_eq(address.host, good[i].host);
        ck_assert_str_eq(address.port, good[i].port);
        address_format_target(&address, target);
        ck_assert_str_eq(target, good[i].target);
    }
}
END_TEST

static const struct {
    const char *text;
    enum address_use use;
    const char *sentence; /* a part of it */
} bad[] = {
    {"127.0.0.1", ADDRESS_TO_LISTEN, "the port is missing"},
    {"127.0.0.1:", ADDRESS_TO_LISTEN, "the port is missing"},
    {"localhost", ADDRESS_TO_CALL, "the port is missing"},
    {"[::1]", ADDRESS_TO_CALL, "the port is missing"},
    {"[::1]7077", ADDRESS_TO_CALL, "the port is missing"},
    {"[::1]:", ADDRESS_TO_CALL, "the port is missing"},
    {"", ADDRESS_TO_CALL, "the host is missing"},
    {":7077", ADDRESS_TO_LISTEN, "the host is missing"},
    {"127.0.0.1:99999", ADDRESS_TO_LISTEN, "at most 65535"},
    {"127.0.0.1:65536", ADDRESS_TO_CALL, "at most 65535"},
    {"127.0.0.1:4294967376", ADDRESS_TO_CALL, "at most 65535"},
    {"127.0.0.1:18446744073709551696", ADDRESS_TO_CALL, "at most 65535"},
    {"127.0.0.1:0", ADDRESS_TO_CALL, "port 0"},
    {"127.0.0.1:-1", ADDRESS_TO_LISTEN, "the port must be a number"},
    {"127.0.0.1:+80", ADDRESS_TO_LISTEN, "the port must be a number"},
    {"127.0.0.1: 80", ADDRESS_TO_LISTEN, ""},
    {"127.0.0.1:http", ADDRESS_TO_CALL, "the port must be a number"},
    {"127.0.0.1:80/x", ADDRESS_TO_CALL, ""},
    {"::1:7077", ADDRESS_TO_CALL, "brackets"},
    {"fe80::1", ADDRESS_TO_CALL, "brackets"},
    {"[]:7077", ADDRESS_TO_CALL, "IPv6"},
    {"[127.0.0.1]:7077", ADDRESS_TO_CALL, "IPv6"},
    {"[::1:7077", ADDRESS_TO_CALL, "IPv6"},
    {"http://127.0.0.1:7077", ADDRESS_TO_CALL, "without a scheme"},
    {"dns:///", ADDRESS_TO_CALL, "the host is missing"},
    {"dns:///node-3", ADDRESS_TO_CALL, "the port is missing"},
    {"dns:///node-3:80", ADDRESS_TO_LISTEN, ""},
    {"no address", ADDRESS_TO_LISTEN, ""},
    {"unix:", ADDRESS_TO_LISTEN, "unix:PATH"},
    {"unix-abstract:", ADDRESS_TO_CALL, "unix-abstract:NAME"},
};

START_TEST(what_is_none_is_refused_by_name)
{
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error;
        struct address address = {.host = "untouched"};
        ck_assert_msg(address_parse(bad[i].text, bad[i].use, &address, &error) == STATUS_INVALID_ARGUMENT,
                      "\"%s\" was taken", bad[i].text);
        ck_assert_msg(strstr(error.text, bad[i].sentence) && strstr(error.text, bad[i].text), "%s",
                      error.text);
        ck_assert_str_eq(address.host, "untouched");
    }
}
END_TEST

START_TEST(names_that_do_not_fit_are_refused)
{
    char text[400];
    struct error error;
    struct address address;
    snprintf(text, sizeof text, "%0300d:80", 1);
    ck_assert_int_eq(address_parse(text, ADDRESS_TO_CALL, &address, &error), STATUS_INVALID_ARGUMENT);
    snprintf(text, sizeof text, "unix:/%0107d", 1);
    ck_assert_int_eq(address_parse(text, ADDRESS_TO_LISTEN, &address, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.text, "108 bytes; a socket's has at most 107"));
    snprintf(text, sizeof text, "unix:/%0106d", 1);
    ck_assert_int_eq(address_parse(text, ADDRESS_TO_LISTEN, &address, &error), STATUS_OK);
}
END_TEST

/* Each kind: somebody listens, another calls; nobody listens, and that is seen. */
START_TEST(sockets_of_each_kind)
{
    static const char *const texts[] = {"127.0.0.1:0", "unix:", "unix-abstract:"};
    for (int i = 0; i < 3; i++) {
        char text[ADDRESS_TEXT_MAX];
        struct address address;
        struct socket_address resolved;
        int reason = 0;
        snprintf(text, sizeof text, i ? "%s/tmp/millrace-address-%d" : "%s", texts[i], (int)getpid());
        ck_assert_int_eq(address_parse(text, ADDRESS_TO_LISTEN, &address, NULL), STATUS_OK);
        ck_assert_int_eq(address_resolve(&address, &resolved, NULL), STATUS_OK);
        int listener = address_listen(&resolved, 4, &reason);
        ck_assert_msg(listener >= 0, "%s: %s", text, strerror(reason));
        ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&resolved.bytes, &resolved.size), 0);
        int caller = address_connect(&resolved, 10000);
        ck_assert_int_ge(caller, 0);
        close(caller);
        close(listener);
        ck_assert_int_lt(address_connect(&resolved, 10000), 0);
        if (address.kind == ADDRESS_UNIX)
            unlink(address.host);
    }
}
END_TEST

Suite *address_suite(void)
{
    Suite *suite = suite_create("address");
    TCase *tests = tcase_create("address");
    tcase_add_test(tests, what_is_an_address_is_read);
    tcase_add_test(tests, what_is_none_is_refused_by_name);
    tcase_add_test(tests, names_that_do_not_fit_are_refused);
    tcase_add_test(tests, sockets_of_each_kind);
    suite_add_tcase(suite, tests);
    return suite;
}
