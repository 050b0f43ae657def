#include "common/rpc/metadata.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/rpc_status.pb-c.h"

static const char details_key[] = "grpc-status-details-bin", hint_key[] = "retry-after-ms";
static const char retry_type[] = "type.googleapis.com/google.rpc.RetryInfo";

bool metadata_add(struct metadata *metadata, const char *key, const void *value, size_t size_bytes)
{
    grpc_slice name = grpc_slice_from_copied_string(key);
    grpc_slice content = grpc_slice_from_copied_buffer(value, size_bytes);
    bool legal = grpc_header_key_is_legal(name) &&
                 (grpc_is_binary_header(name) || grpc_header_nonbin_value_is_legal(content));
    if (metadata->n == METADATA_MAX || !legal) {
        grpc_slice_unref(name);
        grpc_slice_unref(content);
        return false;
    }
    metadata->items[metadata->n++] = (grpc_metadata){.key = name, .value = content};
    return true;
}

void metadata_cut(struct metadata *metadata, size_t n)
{
    while (metadata->n > n) {
        metadata->n--;
        grpc_slice_unref(metadata->items[metadata->n].key);
        grpc_slice_unref(metadata->items[metadata->n].value);
    }
}

void metadata_clear(struct metadata *metadata)
{
    metadata_cut(metadata, 0);
}

/* ---- when to try again ---- */

/* Room for a status whose message is a whole error text. */
enum { DETAILS_MAX = ERROR_TEXT_MAX + 128, RETRY_MAX = 32 };

static void add_details(struct metadata *metadata, const struct error *error)
{
    uint8_t retry_bytes[RETRY_MAX], bytes[DETAILS_MAX];
    Millrace__Rpcstatus__Delay delay = MILLRACE__RPCSTATUS__DELAY__INIT;
    delay.seconds = error->retry_after_ms / 1000;
    delay.nanos = error->retry_after_ms % 1000 * 1000000;
    Millrace__Rpcstatus__RetryInfo retry = MILLRACE__RPCSTATUS__RETRY_INFO__INIT;
    retry.retry_delay = &delay;
    Millrace__Rpcstatus__Detail detail = MILLRACE__RPCSTATUS__DETAIL__INIT, *details = &detail;
    detail.type_url = (char *)retry_type;
    detail.value = (ProtobufCBinaryData){protobuf_c_message_pack(&retry.base, retry_bytes), retry_bytes};
    Millrace__Rpcstatus__Status status = MILLRACE__RPCSTATUS__STATUS__INIT;
    status.code = (int32_t)error->status;
    status.message = (char *)error->text;
    status.n_details = 1;
    status.details = &details;
    metadata_add(metadata, details_key, bytes, protobuf_c_message_pack(&status.base, bytes));
}

void metadata_add_retry(struct metadata *metadata, const struct error *error)
{
    char number[16];
    if (error->retry_after_ms <= 0)
        return;
    int size = snprintf(number, sizeof number, "%d", error->retry_after_ms);
    metadata_add(metadata, hint_key, number, (size_t)size);
    add_details(metadata, error);
}

static int milliseconds(const Millrace__Rpcstatus__Delay *delay)
{
    if (!delay || delay->seconds < 0 || delay->nanos < 0)
        return 0;
    if (delay->seconds >= INT_MAX / 1000)
        return INT_MAX;
    int64_t total = delay->seconds * 1000 + delay->nanos / 1000000;
    return total < INT_MAX ? (int)total : INT_MAX;
}

static int retry_of_detail(const Millrace__Rpcstatus__Detail *detail)
{
    if (strcmp(detail->type_url, retry_type) != 0)
        return 0;
    Millrace__Rpcstatus__RetryInfo *retry =
        millrace__rpcstatus__retry_info__unpack(NULL, detail->value.len, detail->value.data);
    int found = retry ? milliseconds(retry->retry_delay) : 0;
    protobuf_c_message_free_unpacked(retry ? &retry->base : NULL, NULL);
    return found;
}

static int retry_of_details(grpc_slice bytes)
{
    Millrace__Rpcstatus__Status *status =
        millrace__rpcstatus__status__unpack(NULL, GRPC_SLICE_LENGTH(bytes), GRPC_SLICE_START_PTR(bytes));
    int found = 0;
    for (size_t i = 0; status && i < status->n_details && !found; i++)
        found = retry_of_detail(status->details[i]);
    protobuf_c_message_free_unpacked(status ? &status->base : NULL, NULL);
    return found;
}

static int retry_of_hint(grpc_slice text)
{
    char number[16] = "";
    size_t size = GRPC_SLICE_LENGTH(text);
    if (size >= sizeof number)
        return 0;
    memcpy(number, GRPC_SLICE_START_PTR(text), size);
    long value = strtol(number, NULL, 10);
    return value > 0 && value <= INT_MAX ? (int)value : 0;
}

int metadata_retry_after_ms(const grpc_metadata_array *trailers)
{
    int found = 0;
    for (size_t i = 0; i < trailers->count && !found; i++) {
        const grpc_metadata *item = &trailers->metadata[i];
        if (!grpc_slice_str_cmp(item->key, details_key))
            found = retry_of_details(item->value);
        else if (!grpc_slice_str_cmp(item->key, hint_key))
            found = retry_of_hint(item->value);
    }
    return found;
}
