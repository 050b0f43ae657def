#include "kernels/backend.h"

#include <stdatomic.h>
#include <string.h>

#include "common/log.h"
#include "kernels/cuda_module.h"

static enum status find_cuda(const struct backend **backend, struct error *error)
{
    const struct cuda_module *module;
    enum status status = cuda_module_find(&module, error);
    if (status == STATUS_OK)
        status = module->probe(error);
    if (status == STATUS_OK)
        *backend = module->backend;
    return status;
}

/* A build without CUDA says nothing about it; one with CUDA says once why it is not used. */
static void find_best(const struct backend **backend)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    struct error error = {0};
    enum status status = find_cuda(backend, &error);
    if (status == STATUS_OK)
        return;
    if (status != STATUS_NOT_FOUND && !atomic_flag_test_and_set(&said))
        log_info("computing on the CPU: %s", error.text);
    *backend = &backend_cpu;
}

enum status backend_find(const char *name, const struct backend **backend, struct error *error)
{
    if (strcmp(name, "cpu") == 0) {
        *backend = &backend_cpu;
        return STATUS_OK;
    }
    if (strcmp(name, "auto") == 0) {
        find_best(backend);
        return STATUS_OK;
    }
    if (strcmp(name, "cuda") == 0) {
        enum status status = find_cuda(backend, error);
        if (status == STATUS_NOT_FOUND) /* the name is right */
            status = STATUS_UNAVAILABLE;
        if (status != STATUS_OK && error != NULL)
            error->status = status;
        return status;
    }
    return error_set(error, STATUS_NOT_FOUND,
                     "there is no backend \"%.64s\"; use \"cpu\", \"cuda\" or \"auto\"", name);
}
