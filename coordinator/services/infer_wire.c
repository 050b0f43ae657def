#include "coordinator/services/infer_wire.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/services/infer_parameters.h"

typedef Inference__ModelInferRequest infer_request; /* the generated names are long */
typedef Inference__ModelInferRequest__InferInputTensor input_tensor;

const char infer_model_version[] = "1";

static uint32_t little_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* ---- inputs ---- */

static enum status check_text_shape(const input_tensor *tensor, struct error *error)
{
    bool is_one = tensor->n_shape == 1 || tensor->n_shape == 2;
    for (size_t i = 0; i < tensor->n_shape; i++)
        is_one &= tensor->shape[i] == 1;
    if (strcmp(tensor->datatype, "BYTES"))
        return error_set(error, STATUS_INVALID_ARGUMENT, "inputs.%.64s: the datatype is not BYTES",
                         tensor->name);
    if (!is_one)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "inputs.%.64s: the shape is neither [1] nor [1, 1]; one request writes one text",
                         tensor->name);
    return STATUS_OK;
}

/* The one element of a tensor of BYTES: raw, with its size before it, or among the contents. */
static enum status find_element(const infer_request *message, size_t index, ProtobufCBinaryData *element,
                                struct error *error)
{
    const input_tensor *tensor = message->inputs[index];
    if (message->n_raw_input_contents) {
        const ProtobufCBinaryData *raw = &message->raw_input_contents[index];
        if (raw->len < 4 || raw->len - 4 != little_endian(raw->data))
            return error_set(
                error, STATUS_INVALID_ARGUMENT,
                "raw_input_contents[%zu]: is not one element, its size (4 bytes, little-endian) before it",
                index);
        *element = (ProtobufCBinaryData){raw->len - 4, raw->data + 4};
        return STATUS_OK;
    }
    if (!tensor->contents || tensor->contents->n_bytes_contents != 1)
        return error_set(error, STATUS_INVALID_ARGUMENT, "inputs.%.64s: bytes_contents has not one element",
                         tensor->name);
    *element = tensor->contents->bytes_contents[0];
    return STATUS_OK;
}

/* A copy with a terminator. That it is UTF-8 is checked where all prompts are. */
static enum status copy_text(const char *name, ProtobufCBinaryData element, char **text, struct error *error)
{
    if (*text)
        return error_set(error, STATUS_INVALID_ARGUMENT, "inputs.%.64s: is there twice", name);
    if (memchr(element.data ? element.data : (const uint8_t *)"", 0, element.len))
        return error_set(error, STATUS_INVALID_ARGUMENT, "inputs.%.64s: has a byte of 0", name);
    *text = malloc(element.len + 1);
    if (!*text)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the text");
    if (element.len)
        memcpy(*text, element.data, element.len);
    (*text)[element.len] = '\0';
    return STATUS_OK;
}

static enum status read_input(const infer_request *message, size_t index, struct infer_wire *wire,
                              struct error *error)
{
    const input_tensor *tensor = message->inputs[index];
    bool is_suffix = !strcmp(tensor->name, "suffix");
    ProtobufCBinaryData element = {0};
    if (!is_suffix && strcmp(tensor->name, "text_input"))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "inputs.%.64s: is not known; there are text_input and suffix", tensor->name);
    if (tensor->n_parameters)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "inputs.%.64s.parameters.%.64s: is not known; inputs have no parameters here",
                         tensor->name, tensor->parameters[0]->key);
    enum status status = check_text_shape(tensor, error);
    if (status == STATUS_OK)
        status = find_element(message, index, &element, error);
    if (status == STATUS_OK)
        status = copy_text(tensor->name, element, is_suffix ? &wire->suffix : &wire->text, error);
    return status;
}

static enum status read_inputs(const infer_request *message, struct infer_wire *wire, struct error *error)
{
    enum status status = STATUS_OK;
    if (message->n_raw_input_contents && message->n_raw_input_contents != message->n_inputs)
        return error_set(error, STATUS_INVALID_ARGUMENT, "raw_input_contents: there are %zu, and %zu inputs",
                         message->n_raw_input_contents, message->n_inputs);
    for (size_t i = 0; i < message->n_inputs && status == STATUS_OK; i++)
        status = read_input(message, i, wire, error);
    if (status == STATUS_OK && !wire->text)
        status = error_set(error, STATUS_INVALID_ARGUMENT, "inputs: text_input is missing");
    return status;
}

/* With a suffix the text is an infill: beginning, gap, end. An empty piece pins nothing. */
static void set_input(struct infer_wire *wire)
{
    struct generate_options *options = &wire->options;
    if (!wire->suffix) {
        options->input = INPUT_PROMPT;
        options->prompt = wire->text;
        return;
    }
    options->input = INPUT_INFILL;
    options->segments = wire->segments;
    if (*wire->text)
        wire->segments[options->n_segments++] = (struct generate_segment){.text = wire->text};
    wire->segments[options->n_segments++] = (struct generate_segment){.gap = 0};
    if (*wire->suffix)
        wire->segments[options->n_segments++] = (struct generate_segment){.text = wire->suffix};
}

static enum status check_version(const infer_request *message, struct error *error)
{
    const char *version = message->model_version;
    if (!*version || !strcmp(version, infer_model_version))
        return STATUS_OK;
    return error_set(error, STATUS_NOT_FOUND, "model_version: %.64s is not served; there is %s", version,
                     infer_model_version);
}

enum status infer_wire_read(const infer_request *message, struct infer_wire *wire, struct error *error)
{
    *wire = (struct infer_wire){.options.model = message->model_name};
    enum status status = check_version(message, error);
    if (status == STATUS_OK)
        status = infer_parameters_read(message, wire, error);
    if (status == STATUS_OK)
        status = read_inputs(message, wire, error);
    if (status == STATUS_OK)
        set_input(wire);
    else
        infer_wire_release(wire);
    return status;
}

void infer_wire_release(struct infer_wire *wire)
{
    free(wire->text);
    free(wire->suffix);
    wire->text = wire->suffix = NULL;
}
