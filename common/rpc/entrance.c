#include "common/rpc/entrance.h"

#include <grpc/grpc_security.h>
#include <stdlib.h>

#include "common/rpc/binding.h"
#include "common/rpc/wire.h"

enum {
    CONNECTION_HEADER_BYTES = (1 << 20) + (64 << 10), /* with more the connection ends: call.c */
    LEAST_PING_INTERVAL_MS = 1000,                    /* clients that ping more often are cut off */
    HANDSHAKE_MS = 10000,
    IDLE_CONNECTION_MS = 600000,
    MEMORY_BYTES = 1 << 30, /* of gRPC's buffers for the entrance's connections: near it windows shrink */
};

static grpc_server *create_grpc_server(const struct entrance_limits *limits)
{
    grpc_resource_quota *memory = grpc_resource_quota_create("entrance");
    grpc_resource_quota_resize(memory, MEMORY_BYTES);
    grpc_arg arguments[] = {
        {.type = GRPC_ARG_POINTER,
         .key = (char *)GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {memory, grpc_resource_quota_arg_vtable()}},
        wire_integer_argument(GRPC_ARG_ALLOW_REUSEPORT, 0),
        wire_integer_argument(GRPC_ARG_MAX_METADATA_SIZE, CONNECTION_HEADER_BYTES),
        wire_integer_argument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits->max_streams),
        wire_integer_argument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS),
        wire_integer_argument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, IDLE_CONNECTION_MS),
        wire_integer_argument(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)limits->max_message_bytes),
        wire_uncompressed_argument(),
        wire_integer_argument(GRPC_ARG_KEEPALIVE_TIME_MS, limits->keepalive_ms),
        wire_integer_argument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, limits->keepalive_ms),
        wire_integer_argument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        wire_integer_argument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        wire_integer_argument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, LEAST_PING_INTERVAL_MS),
    };
    grpc_channel_args all = {sizeof arguments / sizeof *arguments, arguments};
    grpc_server *server = grpc_server_create(&all, NULL);
    grpc_resource_quota_unref(memory);
    return server;
}

/* Returns the port; 0: gRPC cannot. */
static int add_port(struct entrance *entrance, const struct entrance_place *place)
{
    grpc_server_credentials *credentials =
        place->tls ? tls_server_credentials(place->tls) : grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(entrance->server, place->text, credentials);
    grpc_server_credentials_release(credentials);
    return port > 0 ? port : 0;
}

static enum status bind_place(struct entrance *entrance, const struct entrance_place *place,
                              const struct address *address, int *port, struct error *error)
{
    struct binding binding = {0};
    enum status status = place->is_private ? STATUS_OK : binding_begin(address, &binding, error);
    if (status != STATUS_OK)
        return status;
    *port = add_port(entrance, place);
    if (!*port)
        status = binding_refuse(address, error);
    binding_end(&binding);
    return status;
}

enum status entrance_open(const struct entrance_place *place, const struct address *address,
                          const struct entrance_limits *limits, grpc_completion_queue *queue,
                          struct entrance **opened, int *port, struct error *error)
{
    struct entrance *entrance = calloc(1, sizeof *entrance);
    *opened = entrance;
    if (!entrance)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to listen");
    entrance->server = create_grpc_server(limits);
    grpc_server_register_completion_queue(entrance->server, queue, NULL);
    return bind_place(entrance, place, address, port, error);
}

void entrance_free(struct entrance *entrance)
{
    if (!entrance)
        return;
    grpc_server_destroy(entrance->server);
    free(entrance);
}
