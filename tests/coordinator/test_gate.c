/* Who comes in: what options go together, and that the private socket is for this user's replicas alone. */
#include "coordinator/gate.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/address_socket.h"
#include "common/rpc/client.h"
#include "proto/millrace.pb-c.h"

enum { NOBODY = 65534 };

static void answer(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request, (void)context;
    Millrace__V1__DetokenizeResponse response = MILLRACE__V1__DETOKENIZE_RESPONSE__INIT;
    rpc_reply(call, &response.base);
}

static const struct rpc_method methods[] = {
    {"/test/Attach", RPC_UNARY, &millrace__v1__tokenize_request__descriptor, .on_call = answer,
     .scopes = RPC_SCOPE_REPLICA},
    {"/test/Generate", RPC_UNARY, &millrace__v1__tokenize_request__descriptor, .on_call = answer,
     .scopes = RPC_SCOPE_GENERATE},
    {0},
};

static struct gate gate;
static struct rpc_server *server;

static void open_gate(const struct gate_options *options)
{
    struct error error;
    const struct rpc_service services[] = {{"test", methods, NULL}, {0}};
    struct rpc_server_options server_options = {.address = "127.0.0.1:0", .services = services};
    ck_assert_msg(gate_open(&gate, options, &error) == STATUS_OK, "%s", error.text);
    gate_server_options(&gate, &server_options);
    ck_assert_msg(rpc_server_open(&server_options, &server, &error) == STATUS_OK, "%s", error.text);
}

static void close_gate(void)
{
    rpc_server_close(server, 0);
    gate_close(&gate);
}

static enum status call(const char *address, const char *path, const char *token)
{
    struct rpc_channel *channel;
    ProtobufCMessage *message;
    const struct rpc_security security = {.token = token};
    const struct rpc_channel_options options = {.security = &security};
    Millrace__V1__TokenizeRequest request = MILLRACE__V1__TOKENIZE_REQUEST__INIT;
    ck_assert_int_eq(rpc_channel_open(address, &options, &channel, NULL), STATUS_OK);
    enum status status = rpc_unary(channel, path, &request.base,
                                   &millrace__v1__detokenize_response__descriptor, 30, &message, NULL);
    if (status == STATUS_OK)
        protobuf_c_message_free_unpacked(message, NULL);
    rpc_channel_close(channel);
    return status;
}

START_TEST(options_that_do_not_go_together)
{
    static const struct gate_options wrong[] = {
        {.tls_client_ca = "ca.pem"},
        {.tls_cert = "a.pem", .tls_key = "a.key", .tls_client_optional = true},
        {.tls_cert = "a.pem", .tls_key = "a.key", .tls_client_optional = true, .tls_client_ca = "ca.pem"},
        {.tls_client_optional = true, .tokens = "tokens.json"},
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gate refused;
        struct error error;
        ck_assert_int_eq(gate_open(&refused, &wrong[i], &error), STATUS_INVALID_ARGUMENT);
        ck_assert_ptr_nonnull(strstr(error.text, "--tls-client"));
        gate_close(&refused);
    }
}
END_TEST

START_TEST(without_own_replicas_there_is_no_private_address)
{
    const struct gate_options options = {0};
    open_gate(&options);
    ck_assert_str_eq(gate.private_address, "");
    ck_assert_int_eq(call(rpc_server_address(server), "/test/Generate", NULL), STATUS_OK);
    close_gate();
}
END_TEST

/* In a child, as another user: errno of a connect to the private socket; 0: it was let in. */
static int connect_as(uid_t user, const struct socket_address *resolved)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
        if (setresgid(user, user, user) || setresuid(user, user, user))
            _exit(255);
        _exit(connect(descriptor, (const struct sockaddr *)&resolved->bytes, resolved->size) ? errno : 0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static bool has_abstract_socket(void)
{
    char line[256], name[32];
    bool found = false;
    snprintf(name, sizeof name, "@millrace-%d-", (int)getpid());
    FILE *sockets = fopen("/proc/net/unix", "re");
    while (sockets && fgets(line, sizeof line, sockets))
        found |= strstr(line, name) != NULL;
    if (sockets)
        fclose(sockets);
    return found;
}

/* Names of abstract sockets stand in /proc/net/unix for all to read, and anybody may connect to them. */
START_TEST(other_users_do_not_reach_the_private_socket)
{
    struct stat directory;
    struct address address;
    struct socket_address resolved;
    const struct gate_options options = {.has_own_replicas =
                                             true}; /* no tokens: whoever comes in may do all */
    open_gate(&options);
    ck_assert(!has_abstract_socket());
    ck_assert_int_eq(stat(gate.private_directory.path, &directory), 0);
    ck_assert_uint_eq(directory.st_mode & 07777, 0700);
    ck_assert_int_eq(call(gate.private_address, "/test/Attach", NULL), STATUS_OK);
    ck_assert_int_eq(address_parse(gate.private_address, ADDRESS_TO_CALL, &address, NULL), STATUS_OK);
    ck_assert_int_eq(address_resolve(&address, &resolved, NULL), STATUS_OK);
    if (geteuid() == 0) { /* only root can become another user */
        ck_assert_int_eq(connect_as(NOBODY, &resolved), EACCES);
        ck_assert_int_eq(connect_as(0, &resolved), 0);
    }
    close_gate();
    ck_assert_int_eq(stat(gate.private_directory.path, &directory), -1);
}
END_TEST

static void write_tokens(char path[64])
{
    snprintf(path, 64, "/tmp/millrace-gate-%d.json", (int)getpid());
    FILE *file = fopen(path, "we");
    fputs("{\"clients\": []}", file);
    fclose(file);
    chmod(path, 0600);
}

START_TEST(the_own_token_is_for_replicas_and_needed)
{
    char tokens[64];
    write_tokens(tokens);
    const struct gate_options options = {.has_own_replicas = true, .tokens = tokens};
    open_gate(&options);
    const char *address = gate.private_address;
    ck_assert_int_eq(call(address, "/test/Attach", NULL), STATUS_UNAUTHENTICATED);
    ck_assert_int_eq(call(address, "/test/Attach", "millrace_guess"), STATUS_UNAUTHENTICATED);
    ck_assert_int_eq(call(address, "/test/Attach", gate.private_token), STATUS_OK);
    ck_assert_int_eq(call(address, "/test/Generate", gate.private_token), STATUS_PERMISSION_DENIED);
    close_gate();
    unlink(tokens);
}
END_TEST

/* TMPDIR may be anything. */
START_TEST(a_place_for_the_socket_is_found)
{
    static const char *const directories[] = {
        "/nowhere", "relative",
        "/tmp/a-path-that-is-far-too-long-for-the-name-of-a-socket-in-it-"
        "because-such-names-have-at-most-one-hundred-and-seven-bytes"};
    for (unsigned i = 0; i < sizeof directories / sizeof *directories; i++) {
        const struct gate_options options = {.has_own_replicas = true};
        setenv("TMPDIR", directories[i], 1);
        open_gate(&options);
        ck_assert_int_eq(call(gate.private_address, "/test/Attach", NULL), STATUS_OK);
        close_gate();
    }
    unsetenv("TMPDIR");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gate");
    TCase *tests = tcase_create("gate");
    tcase_add_test(tests, options_that_do_not_go_together);
    tcase_add_test(tests, without_own_replicas_there_is_no_private_address);
    tcase_add_test(tests, other_users_do_not_reach_the_private_socket);
    tcase_add_test(tests, the_own_token_is_for_replicas_and_needed);
    tcase_add_test(tests, a_place_for_the_socket_is_found);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
