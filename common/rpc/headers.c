#include "common/rpc/headers.h"

#include <stdlib.h>
#include <string.h>

/* Key and value behind each other in `text`, each with a NUL after it. */
struct header {
    const char *key, *value;
    size_t value_bytes;
};

struct headers {
    size_t n;
    struct header *items;
    char *text;
};

static size_t text_bytes(const grpc_metadata_array *metadata)
{
    size_t total = 1;
    for (size_t i = 0; i < metadata->count; i++)
        total +=
            GRPC_SLICE_LENGTH(metadata->metadata[i].key) + GRPC_SLICE_LENGTH(metadata->metadata[i].value) + 2;
    return total;
}

static const char *append(char **at, grpc_slice slice)
{
    char *text = *at;
    memcpy(text, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
    text[GRPC_SLICE_LENGTH(slice)] = '\0';
    *at = text + GRPC_SLICE_LENGTH(slice) + 1;
    return text;
}

size_t headers_bytes(const grpc_metadata_array *metadata)
{
    size_t total = 0;
    for (size_t i = 0; i < metadata->count; i++)
        total += GRPC_SLICE_LENGTH(metadata->metadata[i].key) +
                 GRPC_SLICE_LENGTH(metadata->metadata[i].value) + 32;
    return total;
}

struct headers *headers_copy(const grpc_metadata_array *metadata)
{
    struct headers *headers = calloc(1, sizeof *headers);
    if (!headers)
        return NULL;
    headers->items = calloc(metadata->count + 1, sizeof *headers->items);
    headers->text = malloc(text_bytes(metadata));
    if (!headers->items || !headers->text) {
        headers_free(headers);
        return NULL;
    }
    char *at = headers->text;
    for (size_t i = 0; i < metadata->count; i++) {
        const grpc_metadata *from = &metadata->metadata[i];
        struct header *header = &headers->items[headers->n++];
        header->key = append(&at, from->key);
        header->value = append(&at, from->value);
        header->value_bytes = GRPC_SLICE_LENGTH(from->value);
    }
    return headers;
}

void headers_free(struct headers *headers)
{
    if (!headers)
        return;
    free(headers->items);
    free(headers->text);
    free(headers);
}

const char *headers_find(const struct headers *headers, const char *key, size_t *size_bytes)
{
    for (size_t i = 0; headers && i < headers->n; i++) {
        if (!strcmp(headers->items[i].key, key)) {
            *size_bytes = headers->items[i].value_bytes;
            return headers->items[i].value;
        }
    }
    return NULL;
}

int headers_count(const struct headers *headers, const char *key)
{
    int n = 0;
    for (size_t i = 0; headers && i < headers->n; i++)
        n += !strcmp(headers->items[i].key, key);
    return n;
}
