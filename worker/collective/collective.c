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

static enum status on_host(struct collective *base, bool asked, struct collective **made, struct error *error)
{
    struct error why = {0};
    if (base->n_local < base->n_ranks)
        error_set(&why, STATUS_UNAVAILABLE, "the ranks are on several machines");
    else if (base->n_ranks > COLLECTIVE_SHM_RANKS_MAX)
        error_set(&why, STATUS_UNAVAILABLE, "%d ranks are more than %d", base->n_ranks,
                  COLLECTIVE_SHM_RANKS_MAX);
    else if (collective_shm_create(base, made, &why) == STATUS_OK)
        return STATUS_OK;
    if (asked)
        return error_set(error, STATUS_UNAVAILABLE, "--collective shm: %s; use mpi or auto", why.text);
    if (base->rank == 0)
        log_debug("ranks exchange through MPI: %s", why.text);
    return STATUS_OK;
}

static enum status on_gpu(struct collective *base, bool asked, struct device *device,
                          struct collective **made, struct error *error)
{
    const struct cuda_module *module;
    struct error ignored;
    bool here = cuda_module_find(&module, &ignored) == STATUS_OK && module->nccl_create;
    if (everywhere(base, here))
        return module->nccl_create(base, device, made, error);
    if (asked)
        return error_set(error, STATUS_UNAVAILABLE, "--collective nccl: %s has none; use mpi or auto",
                         here ? "another rank" : "this build");
    return STATUS_OK;
}

enum status collective_on_device(struct collective *base, const char *exchange, const struct backend *backend,
                                 struct device *device, struct collective **made, struct error *error)
{
    bool nccl = exchange && strcmp(exchange, "nccl") == 0, shm = exchange && strcmp(exchange, "shm") == 0;
    *made = NULL;
    if (base->n_ranks == 1 || (exchange && strcmp(exchange, "mpi") == 0))
        return STATUS_OK;
    if (nccl && backend->on_host)
        return error_set(error, STATUS_UNAVAILABLE,
                         "--collective nccl: it is for GPUs; with backend \"%s\" use shm, mpi or auto",
                         backend->name);
    if (shm && !backend->on_host)
        return error_set(error, STATUS_UNAVAILABLE,
                         "--collective shm: it is for CPUs; with backend \"%s\" use nccl, mpi or auto",
                         backend->name);
    return backend->on_host ? on_host(base, shm, made, error) : on_gpu(base, nccl, device, made, error);
}
