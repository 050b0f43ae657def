#include "worker/collective.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/module.h"

void collective_free(struct collective *collective)
{
    if (collective)
        collective->table->free(collective);
}

enum status collective_on_device(struct collective *base, const char *exchange, const struct backend *backend,
                                 struct device *device, struct collective **made, struct error *error)
{
    const struct cuda_module *module;
    struct error ignored;
    bool asked = exchange && strcmp(exchange, "nccl") == 0,
         refused = exchange && strcmp(exchange, "mpi") == 0;
    *made = NULL;
    if (base->n_ranks == 1 || refused || (backend->on_host && !asked))
        return STATUS_OK;
    if (backend->on_host)
        return error_set(error, STATUS_UNAVAILABLE,
                         "--collective nccl: it is for GPUs; with backend \"%s\" use mpi or auto",
                         backend->name);
    if (cuda_module_find(&module, &ignored) == STATUS_OK && module->nccl_create)
        return module->nccl_create(base, device, made, error);
    if (asked)
        return error_set(error, STATUS_UNAVAILABLE,
                         "--collective nccl: this build has none; use mpi or auto");
    return STATUS_OK;
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
        if (collective->n_ranks == 1)
            *error = all[rank];
        else
            error_set(error, verdict, "rank %d of %d: %s", rank, collective->n_ranks, all[rank].text);
    }
    free(all);
    return verdict;
}
