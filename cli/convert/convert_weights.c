#include "cli/convert/convert_weights.h"

#include <stdlib.h>
#include <string.h>

#include "cli/convert/convert_elements.h"
#include "common/model/layout.h"
#include "common/model/tensors.h"

enum { PIECE_ELEMENTS = 16 << 10 };

/* The tensors that will be written, in the order of the layout. */
struct output_list {
    struct model_tensor *tensors;
    struct tensor_output *outputs;
    int n;
    uint64_t total_bytes;
};

/* Where the elements of one tensor go. */
struct copier {
    const struct convert_options *options;
    struct tensors_writer *writer;
    enum dtype from, to;
    uint64_t done_bytes, total_bytes;
    float floats[PIECE_ELEMENTS];
    float converted[PIECE_ELEMENTS];
};

static void output_list_release(struct output_list *list)
{
    free(list->tensors);
    free(list->outputs);
}

static enum status list_outputs(const struct convert_options *options, const struct model_config *config,
                                const struct state_dict *state, struct output_list *list, struct error *error)
{
    const int n = model_layout_count(config);
    *list = (struct output_list){calloc((size_t)n, sizeof *list->tensors),
                                 calloc((size_t)n, sizeof *list->outputs), 0, 0};
    if (!list->tensors || !list->outputs)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d tensors", n);
    for (int i = 0; i < n; i++) {
        struct model_tensor *tensor = &list->tensors[list->n];
        model_layout_at(config, i, tensor);
        if (!state_dict_find(state, tensor->name))
            continue;
        struct tensor_output *output = &list->outputs[list->n++];
        output->name = tensor->name;
        output->dtype = tensor->n_dimensions == 2 ? options->dtype : DTYPE_F32;
        output->n_dimensions = tensor->n_dimensions;
        memcpy(output->shape, tensor->shape, sizeof tensor->shape);
        list->total_bytes += (uint64_t)model_tensor_elements(tensor) * dtype_bytes(output->dtype);
    }
    return STATUS_OK;
}

/* A view can repeat elements without end (stride 0), so a small file could ask for any amount of disk.
 * Weights are stored once, in at most twice the bytes of the checkpoint (from half precision to float32);
 * shared ones a few times. */
static enum status check_size(const struct output_list *list, uint64_t file_bytes, struct error *error)
{
    if (list->total_bytes <= 8 * file_bytes)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "would become %llu bytes of weights from a file of %llu; the file cannot hold them",
                     (unsigned long long)list->total_bytes, (unsigned long long)file_bytes);
}

static enum status take(void *context, const void *elements, size_t n_elements, struct error *error)
{
    struct copier *copier = context;
    const size_t from_width = dtype_bytes(copier->from), to_width = dtype_bytes(copier->to);
    for (size_t done = 0; done < n_elements;) {
        const size_t n = n_elements - done < PIECE_ELEMENTS ? n_elements - done : PIECE_ELEMENTS;
        const char *from = (const char *)elements + done * from_width;
        if (!convert_elements(copier->from, from, n, copier->to, copier->converted, copier->floats))
            return error_set(
                error, STATUS_INVALID_ARGUMENT,
                "has a value that is no finite number; the training has diverged, or the file is damaged");
        enum status status = tensors_write_data(copier->writer, copier->converted, n * to_width, error);
        if (status)
            return status;
        done += n;
        copier->done_bytes += n * to_width;
    }
    if (copier->options->progress)
        copier->options->progress(copier->options->progress_context, copier->done_bytes, copier->total_bytes);
    return STATUS_OK;
}

static enum status copy_tensors(const struct output_list *list, struct checkpoint *checkpoint,
                                const struct state_dict *state, struct copier *copier, struct error *error)
{
    const struct element_sink sink = {take, copier};
    for (int i = 0; i < list->n; i++) {
        const struct pickle_tensor *tensor = state_dict_find(state, list->outputs[i].name);
        copier->from = tensor->storage->dtype;
        copier->to = list->outputs[i].dtype;
        enum status status = checkpoint_read(checkpoint, tensor, &sink, error);
        if (status) {
            error_prefix(error, "tensor \"%s\"", list->outputs[i].name);
            return status;
        }
    }
    return STATUS_OK;
}

static enum status write_outputs(const struct output_list *list, const struct convert_options *options,
                                 struct checkpoint *checkpoint, const struct state_dict *state,
                                 const char *path, struct error *error)
{
    struct copier *copier = calloc(1, sizeof *copier);
    if (!copier)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    copier->options = options;
    copier->total_bytes = list->total_bytes;
    enum status status = tensors_write_open(path, list->outputs, list->n, &copier->writer, error);
    if (!status) {
        status = copy_tensors(list, checkpoint, state, copier, error);
        if (status)
            tensors_write_abandon(copier->writer);
        else
            status = tensors_write_close(copier->writer, error);
    }
    free(copier);
    return status;
}

enum status convert_weights(const struct convert_options *options, const struct model_config *config,
                            struct checkpoint *checkpoint, const struct state_dict *state, const char *path,
                            struct error *error)
{
    struct output_list list;
    enum status status = list_outputs(options, config, state, &list, error);
    if (!status)
        status = check_size(&list, checkpoint_file_bytes(checkpoint), error);
    if (!status)
        status = write_outputs(&list, options, checkpoint, state, path, error);
    output_list_release(&list);
    return status;
}
