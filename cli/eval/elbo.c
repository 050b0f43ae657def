#include "cli/eval/elbo.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/places.h"
#include "cli/process.h"
#include "common/model/config.h"
#include "common/tokenizer/tokenizer.h"

enum { LOOK_EVERY_MS = 100, STOP_GRACE_MS = 3000 };

static enum status write_ids(const char *path, const int32_t *ids, size_t n, struct error *error)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no temporary file %s: %s", path, strerror(errno));
    for (size_t i = 0; i < n; i++)
        fprintf(file, "%d\n", ids[i]);
    return fclose(file) == 0 ? STATUS_OK
                             : error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: %s", path, strerror(errno));
}

/* Writes the file's ids to `path`; says how many there are, of how many bytes. */
static enum status tokenize_to(const char *path, const struct elbo_request *request, const char *model,
                               const struct model_config *config, size_t *n_ids, size_t *size_bytes,
                               struct error *error)
{
    struct tokenizer *tokenizer = NULL;
    char *text = NULL;
    int32_t *ids = NULL;
    enum status status = tokenizer_open(model, config->vocabulary, &tokenizer, error);
    if (status == STATUS_OK)
        status = input_read(NULL, request->file, &text, size_bytes, error);
    if (status == STATUS_OK)
        status = tokenizer_encode(tokenizer, text, *size_bytes, &ids, n_ids, error);
    if (status == STATUS_OK)
        status = write_ids(path, ids, *n_ids, error);
    free(ids);
    free(text);
    tokenizer_free(tokenizer);
    return status;
}

/* One thread a rank, free to run where there is room; polite to each other where there are more ranks than cores. */
static enum status launch(const struct elbo_request *request, const char *worker, const char *model,
                          const char *ids, int64_t length, int output, struct process *process,
                          struct error *error)
{
    char number[4][24];
    const int64_t numbers[] = {request->ranks, request->windows, length, request->seed};
    for (int i = 0; i < 4; i++)
        snprintf(number[i], sizeof number[i], "%lld", (long long)numbers[i]);
    const char *const argv[] = {"mpirun",
                                "-n",
                                number[0],
                                "--bind-to",
                                "none",
                                "--oversubscribe",
                                "--mca",
                                "btl",
                                "self,vader",
                                "--mca",
                                "mpi_yield_when_idle",
                                "1",
                                worker,
                                "--model",
                                model,
                                "--elbo",
                                ids,
                                "--samples",
                                number[1],
                                "--length",
                                number[2],
                                "--seed",
                                number[3],
                                NULL};
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 0); /* containers run as root; mpirun wants both */
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 0);
    const struct process_files files = {.output = output, .errors = -1, .kept = -1};
    return process_start((char *const *)(uintptr_t)argv, files, process, error);
}

static enum status wait_for_end(struct process *process, struct error *error)
{
    int code;
    while (!process_wait(process, LOOK_EVERY_MS, &code)) {
        if (interrupt_taken()) {
            process_stop(process, STOP_GRACE_MS);
            return error_set(error, STATUS_CANCELLED, "interrupted");
        }
    }
    return code == 0
               ? STATUS_OK
               : error_set(error, STATUS_INTERNAL,
                           "the ranks of the ELBO ended with exit code %d; what they said is above", code);
}

static enum status run_ranks(const struct elbo_request *request, const char *model, const char *ids,
                             int64_t length, json_t **result, struct error *error)
{
    char worker[PATH_MAX];
    struct process process;
    json_error_t reason;
    FILE *output = tmpfile();
    if (!output)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no temporary file: %s", strerror(errno));
    enum status status = place_of_program("millrace-worker", worker, error);
    if (status == STATUS_OK)
        status = launch(request, worker, model, ids, length, fileno(output), &process, error);
    if (status == STATUS_OK)
        status = wait_for_end(&process, error);
    rewind(output);
    if (status == STATUS_OK && !(*result = json_loadf(output, JSON_DISABLE_EOF_CHECK, &reason)))
        status = error_set(error, STATUS_DATA_LOSS, "the ranks of the ELBO printed no JSON: %s", reason.text);
    fclose(output);
    return status;
}

static void add_bytes(json_t *result, const char *file, size_t n_ids, size_t size_bytes)
{
    double tokens_per_byte = (double)n_ids / (double)size_bytes;
    json_object_set_new(result, "file", json_string(file));
    json_object_set_new(result, "file_tokens", json_integer((json_int_t)n_ids));
    json_object_set_new(result, "file_bytes", json_integer((json_int_t)size_bytes));
    json_object_set_new(
        result, "bits_per_byte",
        json_real(tokens_per_byte * json_number_value(json_object_get(result, "bits_per_token"))));
    json_object_set_new(
        result, "bits_per_byte_error",
        json_real(tokens_per_byte * json_number_value(json_object_get(result, "bits_error"))));
}

enum status elbo_measure_file(const struct elbo_request *request, json_t **result, struct error *error)
{
    char model[PATH_MAX], ids[] = "/tmp/millrace-elbo-XXXXXX";
    struct model_config config;
    size_t n_ids = 0, size_bytes = 0;
    enum status status = place_of_model(request->model_directory, model, error);
    if (status == STATUS_OK)
        status = model_config_read(model, &config, error);
    if (status != STATUS_OK)
        return status;
    int file = mkstemp(ids);
    if (file < 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no temporary file in /tmp: %s", strerror(errno));
    close(file);
    status = tokenize_to(ids, request, model, &config, &n_ids, &size_bytes, error);
    if (status == STATUS_OK)
        status = run_ranks(request, model, ids, request->length ? request->length : config.trained_length,
                           result, error);
    unlink(ids);
    if (status == STATUS_OK)
        add_bytes(*result, request->file, n_ids, size_bytes);
    return status;
}
