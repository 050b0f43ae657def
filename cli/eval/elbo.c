#include "cli/eval/elbo.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/generate/input.h"
#include "cli/cluster/mpirun.h"
#include "cli/places.h"
#include "common/program.h"
#include "common/model/config.h"
#include "common/temporary.h"
#include "common/tokenizer/tokenizer.h"

static enum status write_ids(const char *path, const int32_t *ids, size_t n, struct error *error)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no temporary file %s: %s", path, strerror(errno));
    for (size_t i = 0; i < n; i++)
        fprintf(file, "%d\n", ids[i]);
    bool failed = ferror(file) != 0;
    return fclose(file) == 0 && !failed
               ? STATUS_OK
               : error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: %s", path, strerror(errno));
}

/* Writes the file's ids to `path`. Says how many ids there are, and of how many bytes of text. */
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

static enum status run_ranks(const struct elbo_request *request, const char *model, const char *ids,
                             int64_t length, json_t **result, struct error *error)
{
    char worker[PATH_MAX];
    struct arguments arguments;
    json_error_t reason;
    FILE *output;
    int code;
    enum status status = program_beside("millrace-worker", worker, sizeof worker, error);
    if (status != STATUS_OK)
        return status;
    mpirun_begin(&arguments, (int)request->ranks, 1, worker);
    arguments_add(&arguments, "--model", model);
    arguments_add(&arguments, "--elbo", ids);
    arguments_add_number(&arguments, "--samples", request->windows);
    arguments_add_number(&arguments, "--length", length);
    arguments_add_number(&arguments, "--seed", request->seed);
    status = mpirun_run(&arguments, &output, &code, error);
    if (status != STATUS_OK)
        return status;
    *result = code == 0 ? json_loadf(output, JSON_DISABLE_EOF_CHECK, &reason) : NULL;
    fclose(output);
    if (code != 0)
        return error_set(error, STATUS_INTERNAL,
                         "the ranks of the ELBO ended with exit code %d; what they said is above", code);
    if (!*result)
        return error_set(error, STATUS_DATA_LOSS, "the ranks of the ELBO printed no JSON: %s", reason.text);
    return STATUS_OK;
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
    char model[PATH_MAX], ids[TEMPORARY_ROOM];
    struct model_config config;
    size_t n_ids = 0, size_bytes = 0;
    enum status status = place_of_model(request->model_directory, model, error);
    if (status == STATUS_OK)
        status = model_config_read(model, &config, error);
    if (status == STATUS_OK)
        status = temporary_file(ids, "elbo", error);
    if (status != STATUS_OK)
        return status;
    status = tokenize_to(ids, request, model, &config, &n_ids, &size_bytes, error);
    if (status == STATUS_OK)
        status = run_ranks(request, model, ids, request->length ? request->length : config.trained_length,
                           result, error);
    unlink(ids);
    if (status == STATUS_OK)
        add_bytes(*result, request->file, n_ids, size_bytes);
    return status;
}
