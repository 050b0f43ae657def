#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/collective/collective.h"

/* In a file of its own: a GPU's module, which has nothing else of the collective, agrees too. */

int collective_rank_of(const char *text)
{
    int rank, n_ranks, length = 0;
    return sscanf(text, "rank %d of %d: %n", &rank, &n_ranks, &length) == 2 && length > 0 ? rank : -1;
}

enum status collective_agree(struct collective *collective, enum status mine, struct error *error)
{
    struct error own = {.status = mine};
    if (mine != STATUS_OK)
        memcpy(own.text, error->text, sizeof own.text);
    struct error *all = calloc((size_t)collective->n_ranks, sizeof *all);
    if (!all)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to compare the ranks' verdicts");
    collective->table->exchange(collective, &own, sizeof own, all);
    enum status verdict = STATUS_OK;
    for (int rank = 0; rank < collective->n_ranks && verdict == STATUS_OK; rank++) {
        if (all[rank].status == STATUS_OK)
            continue;
        verdict = all[rank].status;
        if (collective->n_ranks == 1 || collective_rank_of(all[rank].text) >= 0)
            *error = all[rank];
        else
            error_set(error, verdict, "rank %d of %d: %s", rank, collective->n_ranks, all[rank].text);
    }
    free(all);
    if (verdict == STATUS_OK && collective->status != STATUS_OK) /* nobody's verdict is known */
        verdict = mine != STATUS_OK
                      ? mine
                      : error_set(error, collective->status, "the exchange between the ranks broke");
    return verdict;
}
