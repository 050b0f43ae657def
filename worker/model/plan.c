#include "worker/model/plan.h"

#include <stdlib.h>
#include <string.h>

/* Takes n elements of `size` bytes from the block under construction; all sizes used are multiples of their
 * alignment. */
static void *take(char *block, size_t *used, size_t n, size_t size)
{
    void *at = block ? block + *used : NULL;
    *used += n * size;
    return at;
}

static void lay_out(struct plan *plan, char *block)
{
    size_t used = 0, n_rows = (size_t)plan->limits.max_rows;
    plan->u_jump = take(block, &used, n_rows, sizeof *plan->u_jump);
    plan->u_draw = take(block, &used, n_rows, sizeof *plan->u_draw);
    plan->sequences = take(block, &used, (size_t)plan->limits.max_sequences, sizeof *plan->sequences);
    plan->header = take(block, &used, 1, sizeof *plan->header);
    plan->ids = take(block, &used, n_rows, sizeof *plan->ids);
    plan->from_row = take(block, &used, n_rows, sizeof *plan->from_row);
    plan->needed = take(block, &used, n_rows, sizeof *plan->needed);
    plan->block = block;
    plan->size_bytes = used;
}

enum status plan_init(struct plan *plan, struct plan_limits limits, struct error *error)
{
    *plan = (struct plan){.limits = limits};
    lay_out(plan, NULL);
    char *block = calloc(1, plan->size_bytes);
    if (!block)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a batch of %d tokens",
                         limits.max_rows);
    lay_out(plan, block);
    memset(plan->from_row, 0xFF, (size_t)limits.max_rows * sizeof *plan->from_row);
    return STATUS_OK;
}

void plan_release(struct plan *plan)
{
    free(plan->block);
    plan->block = NULL;
}
