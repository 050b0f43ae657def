#include "worker/modes.h"

#include <stdio.h>
#include <string.h>

#include "worker/model/memory_print.h"
#include "worker/tools/bench.h"
#include "worker/tools/elbo.h"
#include "worker/verify/verify.h"

static enum status bench(const struct settings *settings, struct model *model, struct error *error)
{
    int max_length = model->weights.config.max_length;
    if (settings->length > max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT, "--length %lld is more than this model's %d",
                         (long long)settings->length, max_length);
    const struct bench_options bench_options = {.model_name = model->weights.config.name,
                                                .batch = (int)settings->batch,
                                                .length = (int)settings->length,
                                                .n_steps = (int)settings->steps,
                                                .n_threads = (int)settings->threads,
                                                .precision = settings->numbers,
                                                .gpu = settings_gpu(settings, model->collective),
                                                .run_ahead = settings_run_ahead(settings, model),
                                                .repeats = (int)settings->repeats,
                                                .phases = settings->phases,
                                                .ceiling_flops = settings->ceiling * 1e9,
                                                .without_thinning = settings->no_thinning};
    return bench_run(model, &bench_options, error);
}

static enum status elbo(const struct settings *settings, struct model *model, struct error *error)
{
    const struct elbo_options elbo_options = {.path = settings->elbo,
                                              .n_windows = (int)settings->samples,
                                              .length = (int)settings->length,
                                              .seed = (uint64_t)settings->seed};
    return elbo_run(model, &elbo_options, error);
}

enum status mode_measure(const struct settings *settings, struct collective *collective, struct error *error)
{
    struct model model;
    const struct model_options model_options = settings_model(settings, collective, NULL);
    enum status status = model_open(&model, &model_options, error);
    if (status != STATUS_OK)
        return status;
    status = settings->elbo ? elbo(settings, &model, error) : bench(settings, &model, error);
    model_close(&model);
    return status;
}

enum status mode_verify(const struct settings *settings, struct collective *collective, bool *failed,
                        struct error *error)
{
    const struct verify_options verify_options = {.directory = settings->verify,
                                                  .converted = settings->converted,
                                                  .only = settings->only,
                                                  .backend = settings->backend,
                                                  .precision = settings->numbers,
                                                  .gpu = settings_gpu(settings, collective),
                                                  .n_threads = (int)settings->threads,
                                                  .collective = collective};
    struct report report = {.out = stdout};
    enum status status = verify_run(&verify_options, &report, error);
    *failed = report.n_failed > 0;
    return status;
}

int mode_plan(const struct settings *settings)
{
    struct error error;
    const struct memory_print_options print_options = {
        .directory = settings->model,
        .backend = settings->backend,
        .precision = settings->numbers,
        .n_ranks = (int)settings->tp,
        .batch = (int)settings->batch,
        .length = (int)settings->length,
        .n_threads = (int)settings->threads,
        .mpi = strcmp(settings->collective, "mpi") == 0,
        .size_bytes = settings->memory.bytes,
        .json = settings->json,
    };
    if (settings->memory.fraction > 0)
        error_set(&error, STATUS_INVALID_ARGUMENT,
                  "--gpu-memory %s: a plan may be for another machine; give a size, as in 80GiB",
                  settings->gpu_memory);
    else if (memory_print(&print_options, stdout, &error) == STATUS_OK)
        return 0;
    fprintf(stderr, "millrace-worker: %s\n", error.text);
    return 1;
}

int mode_devices(const struct settings *settings)
{
    struct error error;
    const struct backend *backend;
    if (backend_find(settings->backend, &backend, &error) != STATUS_OK) {
        fprintf(stderr, "millrace-worker: %s\n", error.text);
        return 1;
    }
    printf("%s %d\n", backend->name, backend->count());
    return 0;
}
