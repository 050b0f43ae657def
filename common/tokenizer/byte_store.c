#include "common/tokenizer/byte_store.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 1 << 16 };

struct byte_block {
    struct byte_block *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

void *byte_store_take(struct byte_store *store, size_t n)
{
    const size_t unit = alignof(max_align_t);
    struct byte_block *block = store->blocks;
    if (n > SIZE_MAX / 2)
        return NULL;
    n = (n + unit - 1) / unit * unit;
    if (!block || block->size - block->used < n) {
        size_t size = n > BLOCK_BYTES ? n : BLOCK_BYTES;
        block = malloc(sizeof *block + size);
        if (!block)
            return NULL;
        *block = (struct byte_block){.next = store->blocks, .size = size};
        store->blocks = block;
    }
    void *taken = block->bytes + block->used;
    block->used += n;
    return taken;
}

void byte_store_release(struct byte_store *store)
{
    while (store->blocks) {
        struct byte_block *block = store->blocks;
        store->blocks = block->next;
        free(block);
    }
}
