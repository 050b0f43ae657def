#ifndef MILLRACE_COMMON_TOKENIZER_BYTE_STORE_H
#define MILLRACE_COMMON_TOKENIZER_BYTE_STORE_H

#include <stddef.h>

/* Memory for many small things that live as long as their owner. It starts as zeros. */
struct byte_store {
    struct byte_block *blocks;
};

/* `n` bytes, which do not move and are aligned for any type; NULL without memory. */
void *byte_store_take(struct byte_store *store, size_t n);

void byte_store_release(struct byte_store *store);

#endif
