#include "common/rpc/channel.h"

#include <grpc/grpc_security.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/rpc/token.h"

#include "common/rpc/wire.h"

enum {
    DEFAULT_MESSAGE_BYTES = 64 << 20,
    DEFAULT_KEEPALIVE_SECONDS = 10,
    /* A name that points somewhere else now, as a service's does whose pod was replaced, is looked up again
     * so soon; gRPC's own 30 s would be spent calling an address where nobody is. */
    LEAST_LOOKUP_PAUSE_MS = 1000,
    /* A server that comes back, or a network, is found again within the sum of the last two. */
    FIRST_RECONNECT_MS = 200,
    LONGEST_RECONNECT_MS = 1000,
    CONNECT_TIMEOUT_MS = 2000, /* gRPC's own 20 s would be spent waiting for one lost packet */
};

static grpc_channel *create_grpc_channel(const struct rpc_channel *channel)
{
    int keepalive_ms = 1000 * channel->keepalive_seconds;
    const char *name = channel->security.options.tls_server_name;
    grpc_arg arguments[] = {
        wire_integer_argument(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)channel->max_message_bytes),
        wire_integer_argument(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1), /* a connection of its own */
        wire_integer_argument(GRPC_ARG_ENABLE_HTTP_PROXY, 0),         /* a cluster talks to itself */
        wire_integer_argument(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, FIRST_RECONNECT_MS),
        wire_integer_argument(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, LONGEST_RECONNECT_MS),
        wire_integer_argument(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_TIMEOUT_MS),
        wire_integer_argument(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, LEAST_LOOKUP_PAUSE_MS),
        wire_uncompressed_argument(),
        wire_integer_argument(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms),
        wire_integer_argument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_ms),
        wire_integer_argument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        {.type = GRPC_ARG_STRING, /* last: left out where there is none */
         .key = (char *)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG,
         .value.string = (char *)name},
    };
    grpc_channel_args all = {sizeof arguments / sizeof *arguments - !name, arguments};
    grpc_channel_credentials *credentials = security_credentials(&channel->security);
    char target[ADDRESS_TEXT_MAX];
    address_format_target(&channel->address, target);
    grpc_channel *created = grpc_channel_create(target, credentials, &all);
    grpc_channel_credentials_release(credentials);
    return created;
}

static void *complete_events(void *argument)
{
    struct rpc_channel *channel = argument;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(channel->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        struct completion *completion = event.tag;
        atomic_load (&completion->complete)(completion, event.success != 0);
    }
}

static void channel_free(struct rpc_channel *channel)
{
    grpc_completion_queue_destroy(channel->queue);
    metadata_clear(&channel->headers);
    security_release(&channel->security);
    pthread_mutex_destroy(&channel->mutex);
    free(channel->target);
    free(channel);
    grpc_shutdown();
}

static struct rpc_channel *channel_create(const char *target, const struct address *address,
                                          const struct rpc_channel_options *options)
{
    struct rpc_channel *channel = calloc(1, sizeof *channel);
    char *copy = strdup(target);
    if (!channel || !copy) {
        free(channel);
        free(copy);
        return NULL;
    }
    wire_open();
    channel->queue = grpc_completion_queue_create_for_next(NULL);
    pthread_mutex_init(&channel->mutex, NULL);
    channel->target = copy;
    channel->address = *address;
    channel->max_message_bytes =
        options->max_message_bytes ? options->max_message_bytes : DEFAULT_MESSAGE_BYTES;
    channel->keepalive_seconds =
        options->keepalive_seconds ? options->keepalive_seconds : DEFAULT_KEEPALIVE_SECONDS;
    return channel;
}

static enum status copy_headers(struct rpc_channel *channel, const struct rpc_header *headers,
                                struct error *error)
{
    for (const struct rpc_header *header = headers; header && header->key; header++) {
        if (!metadata_add(&channel->headers, header->key, header->value, strlen(header->value)))
            return error_set(error, STATUS_INVALID_ARGUMENT, "the header %s cannot be sent", header->key);
    }
    channel->n_own_headers = channel->headers.n;
    return STATUS_OK;
}

/* Puts the token behind the channel's own headers, in place of the old one. */
static enum status set_token(struct rpc_channel *channel, struct error *error)
{
    char header[TOKEN_BYTES_MAX + 16];
    metadata_cut(&channel->headers, channel->n_own_headers);
    if (!channel->security.token)
        return STATUS_OK;
    int size = snprintf(header, sizeof header, "Bearer %s", channel->security.token);
    bool added =
        size < (int)sizeof header && metadata_add(&channel->headers, "authorization", header, (size_t)size);
    explicit_bzero(header, sizeof header);
    return added ? STATUS_OK
                 : error_set(error, STATUS_INVALID_ARGUMENT,
                             "the token cannot be sent: at most %d printable characters", TOKEN_BYTES_MAX);
}

void channel_refresh(struct rpc_channel *channel)
{
    struct error error;
    if (!security_refresh(&channel->security, channel->target))
        return;
    if (set_token(channel, &error) != STATUS_OK)
        log_warning("%s", error.text);
    if (!security_is_tls(&channel->security))
        return;                             /* the connection is as good as it was */
    grpc_channel_destroy(channel->channel); /* its calls go on */
    channel->channel = create_grpc_channel(channel);
}

static enum status start_thread(struct rpc_channel *channel, struct error *error)
{
    if (!pthread_create(&channel->thread, NULL, complete_events, channel))
        return STATUS_OK;
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "cannot start a thread for the connection to %s",
                     channel->target);
}

enum status rpc_channel_open(const char *target, const struct rpc_channel_options *options,
                             struct rpc_channel **opened, struct error *error)
{
    static const struct rpc_channel_options defaults = {0};
    options = options ? options : &defaults;
    struct address address;
    enum status status = address_parse(target, ADDRESS_TO_CALL, &address, error);
    if (status != STATUS_OK)
        return status;
    struct rpc_channel *channel = channel_create(target, &address, options);
    if (!channel)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the connection to %s", target);
    status = copy_headers(channel, options->headers, error);
    if (status == STATUS_OK)
        status = security_open(&channel->security, options->security, target, error);
    if (status == STATUS_OK)
        status = set_token(channel, error);
    if (status == STATUS_OK)
        status = start_thread(channel, error);
    if (status != STATUS_OK) {
        grpc_completion_queue_shutdown(channel->queue);
        complete_events(channel); /* takes the queue to its end */
        channel_free(channel);
        return status;
    }
    channel->channel = create_grpc_channel(channel);
    *opened = channel;
    return STATUS_OK;
}

void rpc_channel_close(struct rpc_channel *channel)
{
    if (!channel)
        return;
    grpc_channel_destroy(channel->channel);
    grpc_completion_queue_shutdown(channel->queue);
    pthread_join(channel->thread, NULL);
    channel_free(channel);
}
