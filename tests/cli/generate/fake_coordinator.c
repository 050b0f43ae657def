/*
 * Stands in for millrace-coordinator where the command itself is tested: the same options and the same
 * service, and answers that are fixed. The prompt chooses: "hang" is accepted, gets a frame, and nothing
 * more; "full" is refused; "rude" is finished with a text that commands a terminal; "cut" ends too soon;
 * anything else is finished in two steps. With FAKE_START=fail it does not start at all. Its pid goes to the
 * file FAKE_PID, and it ends at SIGTERM.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/options.h"
#include "common/rpc/server.h"
#include "proto/millrace.pb-c.h"

static char model[] = "fake", text[] = "Once upon a time", empty[] = "",
            rude[] = "\033]0;mine\007\tOnce\nagain";

static void send_event(struct rpc_call *call, Millrace__V1__GenerateEvent__KindCase kind, void *body)
{
    Millrace__V1__GenerateEvent event = MILLRACE__V1__GENERATE_EVENT__INIT;
    event.kind_case = kind;
    event.accepted = body; /* the members of the union are pointers */
    rpc_send(call, &event.base);
}

static void send_accepted(struct rpc_call *call, const Millrace__V1__GenerateRequest *request)
{
    Millrace__V1__Accepted accepted = MILLRACE__V1__ACCEPTED__INIT;
    accepted.request_id = model;
    accepted.model = model;
    accepted.seed = request->seed_choice_case ? request->seed : 1234567;
    accepted.length = 3;
    accepted.steps = 2;
    accepted.pinned = 1;
    send_event(call, MILLRACE__V1__GENERATE_EVENT__KIND_ACCEPTED, &accepted);
}

static void send_frame(struct rpc_call *call, uint32_t step)
{
    static uint8_t pieces[3][3][8] = {
        {"Once", "", ""}, {"Once", " upon", " b"}, {"Once", " upon", " a time"}};
    uint32_t positions[] = {0, 1, 2}, ids[] = {1, 2, 3};
    ProtobufCBinaryData data[3];
    Millrace__V1__Frame frame = MILLRACE__V1__FRAME__INIT;
    for (int i = 0; i < 3; i++)
        data[i] = (ProtobufCBinaryData){strnlen((char *)pieces[step][i], 8), pieces[step][i]};
    frame.step = step;
    frame.steps = 2;
    frame.n_positions = frame.n_ids = frame.n_pieces = 3;
    frame.positions = positions;
    frame.ids = ids;
    frame.pieces = data;
    frame.final = step == 2;
    send_event(call, MILLRACE__V1__GENERATE_EVENT__KIND_FRAME, &frame);
}

static void send_finished(struct rpc_call *call, const Millrace__V1__GenerateRequest *request, bool is_rude)
{
    Millrace__V1__Finished finished = MILLRACE__V1__FINISHED__INIT;
    finished.text = is_rude ? rude : text;
    finished.replica = empty;
    finished.prompt_tokens = 1;
    finished.generated_tokens = 2;
    finished.seed = request->seed_choice_case ? request->seed : 1234567;
    send_event(call, MILLRACE__V1__GENERATE_EVENT__KIND_FINISHED, &finished);
}

static void on_generate(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    (void)context;
    const Millrace__V1__GenerateRequest *request = (const Millrace__V1__GenerateRequest *)message;
    const char *prompt =
        request->input_case == MILLRACE__V1__GENERATE_REQUEST__INPUT_PROMPT ? request->prompt : "";
    if (!strcmp(prompt, "full")) {
        rpc_finish(call, STATUS_RESOURCE_EXHAUSTED, "the queue is full: 64 requests wait");
        return;
    }
    send_accepted(call, request);
    send_frame(call, 0);
    if (!strcmp(prompt, "hang"))
        return;
    send_frame(call, 1);
    if (strcmp(prompt, "cut") != 0) {
        send_frame(call, 2);
        send_finished(call, request, !strcmp(prompt, "rude"));
    }
    rpc_finish(call, STATUS_OK, NULL);
}

static void on_status(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    (void)message, (void)context;
    Millrace__V1__StatusResponse status = MILLRACE__V1__STATUS_RESPONSE__INIT;
    status.version = status.model = model;
    Millrace__V1__ReplicaStatus replica = MILLRACE__V1__REPLICA_STATUS__INIT, *replicas[] = {&replica};
    replica.name = replica.state = replica.backend = replica.last_error = rude;
    if (getenv("FAKE_RUDE")) {
        status.replicas = replicas;
        status.n_replicas = 1;
    }
    rpc_reply(call, &status.base);
}

static void on_drain(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    (void)message, (void)context;
    Millrace__V1__DrainReplicaResponse answer = MILLRACE__V1__DRAIN_REPLICA_RESPONSE__INIT;
    rpc_reply(call, &answer.base);
}

static void on_get_model(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    (void)message, (void)context;
    Millrace__V1__Model answer = MILLRACE__V1__MODEL__INIT;
    answer.name = answer.architecture = answer.source = model;
    rpc_reply(call, &answer.base);
}

static void on_tokenize(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    (void)message, (void)context;
    static uint8_t piece[] = "piece";
    uint32_t ids[] = {42};
    ProtobufCBinaryData pieces[] = {{5, piece}};
    Millrace__V1__TokenizeResponse answer = MILLRACE__V1__TOKENIZE_RESPONSE__INIT;
    answer.n_ids = answer.n_pieces = 1;
    answer.ids = ids;
    answer.pieces = pieces;
    rpc_reply(call, &answer.base);
}

static const struct rpc_method methods[] = {
    {"/millrace.v1.Millrace/Generate", RPC_SERVER_STREAM, &millrace__v1__generate_request__descriptor,
     on_generate},
    {"/millrace.v1.Millrace/Status", RPC_UNARY, &millrace__v1__status_request__descriptor, on_status},
    {"/millrace.v1.Millrace/GetModel", RPC_UNARY, &millrace__v1__get_model_request__descriptor, on_get_model},
    {"/millrace.v1.Millrace/DrainReplica", RPC_UNARY, &millrace__v1__drain_replica_request__descriptor,
     on_drain},
    {"/millrace.v1.Millrace/Tokenize", RPC_UNARY, &millrace__v1__tokenize_request__descriptor, on_tokenize},
    {NULL},
};

/* The file appears whole: whoever waits for it reads a pid. */
static void write_pid(const char *path)
{
    char beside[4096];
    snprintf(beside, sizeof beside, "%s.new", path);
    FILE *file = fopen(beside, "w");
    if (!file)
        return;
    fprintf(file, "%d\n", getpid());
    fclose(file);
    rename(beside, path);
}

int main(int argc, char **argv)
{
    const char *listen_at, *model_directory, *http, *ready_file, *tokens;
    int64_t spawn, ranks, ready;
    const struct option_row rows[] = {
        {"listen", 0, OPTION_LISTEN, "ADDRESS", NULL, "127.0.0.1:0", 0, 0, "", &listen_at, NULL},
        {"spawn", 0, OPTION_INTEGER, "N", NULL, NULL, 0, 0, "", &spawn, NULL},
        {"ranks", 0, OPTION_INTEGER, "N", NULL, NULL, 0, 0, "", &ranks, NULL},
        {"model", 0, OPTION_TEXT, "DIR", NULL, NULL, 0, 0, "", &model_directory, NULL},
        {"http", 0, OPTION_TEXT, "ADDRESS", "MILLRACE_HTTP", NULL, 0, 0, "", &http, NULL},
        {"ready-file", 0, OPTION_TEXT, "PATH", "MILLRACE_READY_FILE", NULL, 0, 0, "", &ready_file, NULL},
        {"tokens", 0, OPTION_TEXT, "FILE", "MILLRACE_TOKENS", NULL, 0, 0, "", &tokens, NULL},
        {"ready-fd", 0, OPTION_INTEGER, "N", NULL, "1", 0, 0, "", &ready, NULL},
        {NULL},
    };
    const struct option_table table = {"fake", "", "", NULL, rows, 0};
    struct error error;
    bool help;
    char **operands;
    int n_operands, signal_number;
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    if (options_parse(&table, argc, argv, &help, &operands, &n_operands, &error) != STATUS_OK ||
        !model_directory)
        return fprintf(stderr, "fake: bad options\n"), 2;
    if (http || ready_file || tokens)
        return fprintf(stderr, "fake: settings of a cluster that stays\n"), 2;
    if (getenv("FAKE_START"))
        return fprintf(stderr, "fake: the model is damaged\n"), 7;
    const struct rpc_service services[] = {{"millrace.v1.Millrace", methods, NULL}, {NULL}};
    const struct rpc_server_options options = {.address = listen_at, .services = services};
    struct rpc_server *server;
    if (rpc_server_open(&options, &server, &error) != STATUS_OK)
        return fprintf(stderr, "fake: %s\n", error.text), 1;
    if (getenv("FAKE_PID"))
        write_pid(getenv("FAKE_PID"));
    dprintf((int)ready, "%s\n", rpc_server_address(server));
    sigwait(&ending, &signal_number);
    rpc_server_close(server, 0);
    return 0;
}
