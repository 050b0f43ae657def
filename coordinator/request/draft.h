#ifndef MILLRACE_COORDINATOR_REQUEST_DRAFT_H
#define MILLRACE_COORDINATOR_REQUEST_DRAFT_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/* A text before its first step: which positions are pinned, and to which ids. Zeroed: none yet. */
struct draft {
    int length;        /* positions */
    int32_t *ids;      /* [length]; 0 where it is editable */
    uint8_t *editable; /* [length]: 1 where it may change */
};

/* `length` positions that are all pinned to the id 0. RESOURCE_EXHAUSTED without memory. */
enum status draft_create(struct draft *draft, size_t length, struct error *error);
void draft_release(struct draft *draft);

#endif
