#include "worker/collective/collective.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "kernels/cuda_module.h"

void collective_free(struct collective *collective)
{
    if (collective)
        collective->table->free(collective);
}

enum status collective_verdict(struct collective *collective, enum status mine, struct error *error)
{
    if (mine != STATUS_OK && collective->rank > 0)
        log_error("rank %d of %d: %s", collective->rank, collective->n_ranks, error->text);
    return collective_agree(collective, mine, error);
}

/* Whether all ranks have it: hosts may differ in what is installed. */
static bool everywhere(struct collective *collective, bool here)
{
    struct error error = {0};
    return collective_agree(collective, here ? STATUS_OK : STATUS_UNAVAILABLE, &error) == STATUS_OK;
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
    bool here = cuda_module_find(&module, &ignored) == STATUS_OK && module->nccl_create;
    if (everywhere(base, here))
        return module->nccl_create(base, device, made, error);
    if (asked)
        return error_set(error, STATUS_UNAVAILABLE, "--collective nccl: %s has none; use mpi or auto",
                         here ? "another rank" : "this build");
    return STATUS_OK;
}
