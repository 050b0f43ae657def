#include <stdlib.h>

#include "common/rpc/unpack.h"
#include "proto/health.pb-c.h"
#include "proto/millrace.pb-c.h"
#include "proto/reflection.pb-c.h"
#include "proto/replica.pb-c.h"
#include "tests/rpc/fuzz.h"

/* Every message that a server of ours reads, and those that a replica does. */
static const ProtobufCMessageDescriptor *const types[] = {
    &millrace__v1__generate_request__descriptor,
    &millrace__v1__tokenize_request__descriptor,
    &millrace__v1__detokenize_request__descriptor,
    &millrace__v1__get_model_request__descriptor,
    &millrace__v1__status_request__descriptor,
    &millrace__replica__v1__from_replica__descriptor,
    &millrace__replica__v1__to_replica__descriptor,
    &grpc__health__v1__health_check_request__descriptor,
    &grpc__reflection__v1alpha__server_reflection_request__descriptor,
};
enum { N_TYPES = sizeof types / sizeof *types };

/* What was accepted can be packed, and what that unpacks to packs to as many bytes: all of it is touched.
 * (Packed, it may be refused: protobuf-c takes an unknown field of number 0 that is written with more bytes
 * than it needs, and writes it with one.) */
static void check_round_trip(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(size + 1);
    ProtobufCMessage *again;
    if (protobuf_c_message_pack(message, packed) != size)
        abort();
    if (unpack_message(message->descriptor, packed, size, &again, NULL) == STATUS_OK) {
        if (protobuf_c_message_get_packed_size(again) != size)
            abort();
        unpack_free(again);
    }
    free(packed);
}

int fuzz_messages(const uint8_t *bytes, size_t size_bytes)
{
    ProtobufCMessage *message;
    struct error error = {STATUS_OK, ""};
    if (!size_bytes)
        return 0;
    if (unpack_message(types[bytes[0] % N_TYPES], bytes + 1, size_bytes - 1, &message, &error) != STATUS_OK) {
        if (error.status == STATUS_OK || !*error.text)
            abort();
        return 0;
    }
    check_round_trip(message);
    unpack_free(message);
    return 1;
}
