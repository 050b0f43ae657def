#include "worker/model/memory_print.h"

#include <jansson.h>
#include <string.h>

#include "kernels/precision.h"

enum { MOST_ROWS = 1 << 22 };

struct part {
    const char *name, *key;
    size_t bytes;
};
enum { N_PARTS = 8 };

static void list_parts(const struct memory_need *need, struct part parts[N_PARTS])
{
    const struct part list[N_PARTS] = {{"weights", "weights", need->weights},
                                       {"activations", "activations", need->activations},
                                       {"conditioning", "conditioning", need->conditioning},
                                       {"sampling", "sampling", need->sampling},
                                       {"exchange of ranks", "exchange", need->exchange},
                                       {"workspace", "workspace", need->workspace},
                                       {"kernels, graphs", "reserve", need->reserve},
                                       {"a rank in all", "total", need->total}};
    memcpy(parts, list, sizeof list);
}

static void print_json(const struct memory_request *request, const struct memory_need *need,
                       size_t size_bytes, int fitting, FILE *out)
{
    struct part parts[N_PARTS];
    list_parts(need, parts);
    json_t *object = json_pack("{s:s, s:i, s:i, s:i}", "precision", precision_text(request->precision),
                               "ranks", request->n_ranks, "max_sequences", request->limits.max_sequences,
                               "batch_tokens", request->limits.max_rows);
    for (int i = 0; i < N_PARTS; i++)
        json_object_set_new(object, parts[i].key, json_integer((json_int_t)parts[i].bytes));
    json_object_set_new(object, "pinned_host", json_integer((json_int_t)need->host));
    json_object_set_new(object, "workspace_estimated", json_boolean(need->estimated));
    if (size_bytes) {
        json_object_set_new(object, "memory", json_integer((json_int_t)size_bytes));
        json_object_set_new(object, "largest_batch_tokens", json_integer(fitting));
    }
    json_dumpf(object, out, JSON_COMPACT | JSON_PRESERVE_ORDER);
    fputc('\n', out);
    json_decref(object);
}

static void print_table(const struct memory_request *request, const struct memory_need *need,
                        size_t size_bytes, int fitting, FILE *out)
{
    struct part parts[N_PARTS];
    list_parts(need, parts);
    fprintf(out, "%s on %s: %d rank%s in %s, %d texts, %d tokens together\n\n", request->config->name,
            request->gpu ? "a GPU each" : "a CPU", request->n_ranks, request->n_ranks == 1 ? "" : "s",
            precision_text(request->precision), request->limits.max_sequences, request->limits.max_rows);
    for (int i = 0; i < N_PARTS; i++)
        fprintf(out, "  %-20s %12.2f MiB%s\n", parts[i].name, (double)parts[i].bytes / 1048576,
                need->estimated && strcmp(parts[i].key, "workspace") == 0 ? "  (a guess: no CUDA module here)"
                                                                          : "");
    if (request->gpu)
        fprintf(out, "  %-20s %12.2f MiB\n", "pinned on the host", (double)need->host / 1048576);
    if (!size_bytes)
        return;
    fprintf(out, "\n%s into %.2f MiB; ", need->total <= size_bytes ? "It fits" : "It does NOT fit",
            (double)size_bytes / 1048576);
    if (fitting)
        fprintf(out, "with %d texts the most are %d tokens together%s\n", request->limits.max_sequences,
                fitting, fitting == MOST_ROWS ? ", which is the most there may be" : "");
    else
        fprintf(out, "no batch does: more ranks, or fp8\n");
}

/* Memory of a replica: the batch's sequences together, and no less than one text of any length. */
static enum status print_need(const struct memory_print_options *options, struct memory_request *request,
                              FILE *out, struct error *error)
{
    struct memory_need need;
    int64_t rows = (int64_t)options->batch * options->length;
    if (options->length > request->config->max_length || rows > MOST_ROWS)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "--batch %d of --length %d: this model's longest text has %d tokens, and a batch at most %d",
            options->batch, options->length, request->config->max_length, MOST_ROWS);
    request->limits.max_rows = rows > request->config->max_length ? (int)rows : request->config->max_length;
    enum status status = memory_need_largest(request, &need, error);
    if (status != STATUS_OK)
        return status;
    int fitting = options->size_bytes ? memory_rows_that_fit(request, options->size_bytes, MOST_ROWS) : 0;
    (options->json ? print_json : print_table)(request, &need, options->size_bytes, fitting, out);
    return STATUS_OK;
}

/* GPU or not? A plan for "cuda" needs no GPU. */
static enum status choose_backend(const struct memory_print_options *options, struct memory_request *request,
                                  struct error *error)
{
    const struct backend *backend = &backend_cpu;
    request->gpu = strcmp(options->backend, "cuda") == 0;
    if (!request->gpu) {
        enum status status = backend_find(options->backend, &backend, error);
        if (status != STATUS_OK)
            return status;
        request->gpu = !backend->on_host;
    }
    request->precision = options->precision;
    if (options->precision == PRECISION_AUTO)
        request->precision = request->gpu ? PRECISION_BF16 : PRECISION_F32;
    if (!request->gpu && request->precision == PRECISION_FP8)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "--precision %s: a CPU has f32, bf16 and int8; add --backend cuda",
                         precision_text(request->precision));
    return STATUS_OK;
}

enum status memory_print(const struct memory_print_options *options, FILE *out, struct error *error)
{
    struct model_config config = {0};
    struct tensors *tensors = NULL;
    struct memory_request request = {.config = &config,
                                     .n_ranks = options->n_ranks,
                                     .n_threads = options->n_threads,
                                     .nccl = !options->mpi,
                                     .limits = {.max_sequences = options->batch}};
    enum status status = choose_backend(options, &request, error);
    if (status == STATUS_OK)
        status = model_config_read(options->directory, &config, error);
    if (status == STATUS_OK)
        status = tensors_open_model(options->directory, &config, &tensors, error);
    request.tensors = tensors;
    if (status == STATUS_OK)
        status = print_need(options, &request, out, error);
    tensors_close(tensors);
    return status;
}
