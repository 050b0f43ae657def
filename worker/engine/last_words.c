#include "worker/engine/last_words.h"

#include "common/clock.h"
#include "common/log.h"
#include "proto/replica.pb-c.h"

static void write_words(struct rpc_stream *stream, const struct last_words *words)
{
    Millrace__Replica__V1__LoadFailed failed = MILLRACE__REPLICA__V1__LOAD_FAILED__INIT;
    failed.replica = (char *)words->replica;
    failed.launch = (char *)words->launch;
    failed.rank = (uint32_t)words->rank;
    failed.status = (uint32_t)words->why->status;
    failed.reason = (char *)words->why->text;
    Millrace__Replica__V1__FromReplica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_FAILED;
    message.failed = &failed;
    rpc_stream_write(stream, &message.base);
    rpc_stream_close_send(stream);
}

/* Nothing is expected on this stream but its end. */
static void wait_for_end(struct rpc_stream *stream, double seconds)
{
    ProtobufCMessage *message;
    enum rpc_read read = RPC_READ_MESSAGE;
    for (double end = clock_seconds() + seconds; read != RPC_READ_END && clock_seconds() < end;) {
        read = rpc_stream_read(stream, end - clock_seconds(), &message);
        if (read == RPC_READ_MESSAGE)
            protobuf_c_message_free_unpacked(message, NULL);
    }
}

void last_words_say(const struct last_words *words, double seconds)
{
    struct error error;
    struct rpc_channel *channel;
    struct rpc_stream *stream;
    const struct rpc_channel_options options = {.security = words->security};
    enum status status = rpc_channel_open(words->coordinator, &options, &channel, &error);
    if (status == STATUS_OK) {
        status = rpc_stream_open(channel, "/millrace.replica.v1.Replicas/Attach", NULL,
                                 &millrace__replica__v1__to_replica__descriptor, seconds, &stream, &error);
        if (status == STATUS_OK) {
            write_words(stream, words);
            wait_for_end(stream, seconds);
            rpc_stream_cancel(stream);
            rpc_stream_close(stream);
        }
        rpc_channel_close(channel);
    }
    if (status != STATUS_OK)
        log_warning("the coordinator is not told why this rank fails: %s", error.text);
}
