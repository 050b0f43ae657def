/*
 * Every allocation carries its size in front. That bounds the total, and it is how the true length of a
 * string is known: protobuf-c allocates length + 1 bytes and forgets the length.
 */
#include "common/rpc/unpack.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

enum { HEADER_BYTES = 16, MEMORY_BASE_BYTES = 16 << 20, MEMORY_PER_BYTE = 8 };

struct budget {
    size_t left;
    bool exceeded;
};

static void *budget_allocate(void *data, size_t size)
{
    struct budget *budget = data;
    if (size > budget->left) {
        budget->exceeded = true;
        return NULL;
    }
    char *block = malloc(HEADER_BYTES + size);
    if (!block)
        return NULL;
    budget->left -= size;
    memcpy(block, &size, sizeof size);
    return block + HEADER_BYTES;
}

static void budget_free(void *data, void *memory)
{
    (void)data;
    if (memory)
        free((char *)memory - HEADER_BYTES);
}

static size_t allocated_bytes(const char *memory)
{
    size_t size;
    memcpy(&size, memory - HEADER_BYTES, sizeof size);
    return size;
}

void unpack_free(ProtobufCMessage *message)
{
    ProtobufCAllocator allocator = {.free = budget_free};
    protobuf_c_message_free_unpacked(message, &allocator);
}

static enum status check_message(const ProtobufCMessage *message, struct error *error);

static enum status check_string(const ProtobufCFieldDescriptor *field, const char *string,
                                struct error *error)
{
    if (!string || string == protobuf_c_empty_string || string == field->default_value)
        return STATUS_OK; /* not sent */
    size_t size = allocated_bytes(string) - 1;
    size_t valid = utf8_valid_size(string, size), before_nul = strnlen(string, size);
    if (valid < size)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: byte %zu is not UTF-8", field->name, valid);
    if (before_nul < size)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: byte %zu is a NUL", field->name, before_nul);
    return STATUS_OK;
}

static enum status check_value(const ProtobufCFieldDescriptor *field, const void *value, struct error *error)
{
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return check_string(field, value, error);
    return value ? check_message(value, error) : STATUS_OK;
}

/* Is this member of a oneof not the one that is set? */
static bool is_other_member(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    uint32_t set;
    if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
        return false;
    memcpy(&set, (const char *)message + field->quantifier_offset, sizeof set);
    return set != field->id;
}

static enum status check_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                               struct error *error)
{
    const char *member = (const char *)message + field->offset;
    void *const *values = (void *const *)member; /* one pointer, or a pointer to many */
    size_t n = 1;
    if (is_other_member(message, field))
        return STATUS_OK;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        memcpy(&n, (const char *)message + field->quantifier_offset, sizeof n);
        values = *values;
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = check_value(field, values[i], error);
    return status;
}

static enum status check_message(const ProtobufCMessage *message, struct error *error)
{
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < message->descriptor->n_fields && status == STATUS_OK; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE)
            status = check_field(message, field, error);
    }
    return status;
}

enum status unpack_message(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size_bytes,
                           ProtobufCMessage **unpacked, struct error *error)
{
    struct budget budget = {.left = MEMORY_BASE_BYTES + MEMORY_PER_BYTE * size_bytes};
    ProtobufCAllocator allocator = {budget_allocate, budget_free, &budget};
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, size_bytes, bytes);
    if (!message && budget.exceeded)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "the %s of %zu bytes unpacks to too many parts",
                         type->name, size_bytes);
    if (!message)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%zu bytes that are no %s", size_bytes, type->name);
    enum status status = check_message(message, error);
    if (status == STATUS_OK)
        *unpacked = message;
    else
        unpack_free(message);
    return status;
}
