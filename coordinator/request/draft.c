#include "coordinator/request/draft.h"

#include <stdlib.h>

enum status draft_create(struct draft *draft, size_t length, struct error *error)
{
    *draft = (struct draft){.length = (int)length,
                            .ids = calloc(length, sizeof *draft->ids),
                            .editable = calloc(length, sizeof *draft->editable)};
    if (draft->ids && draft->editable)
        return STATUS_OK;
    draft_release(draft);
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu positions", length);
}

void draft_release(struct draft *draft)
{
    free(draft->ids);
    free(draft->editable);
    *draft = (struct draft){0};
}
