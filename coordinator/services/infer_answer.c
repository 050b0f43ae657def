/* The outputs of the Open Inference Protocol: one table of tensors, told in the metadata and in answers. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/request/render_text.h"
#include "coordinator/services/infer_wire.h"

typedef Inference__ModelInferResponse infer_response; /* the generated names are long */
typedef Inference__ModelInferResponse__InferOutputTensor output_tensor;
typedef Inference__ModelInferResponse__ParametersEntry entry;
typedef Inference__ModelMetadataResponse__TensorMetadata tensor_metadata;

enum { N_OUTPUTS = 4, N_PARAMETERS = 4 };

static const struct {
    const char *name, *datatype;
    bool of_length; /* as long as the text; else one element */
} outputs[N_OUTPUTS] = {
    {"text_output", "BYTES", false},
    {"output_ids", "UINT32", true},
    {"changed_step", "UINT32", true},
    {"seed", "UINT64", false},
};

enum status infer_wire_outputs(const Inference__ModelInferRequest *message, unsigned *wanted,
                               struct error *error)
{
    *wanted = message->n_outputs ? 0 : INFER_ALL;
    for (size_t i = 0; i < message->n_outputs; i++) {
        const Inference__ModelInferRequest__InferRequestedOutputTensor *output = message->outputs[i];
        int k = 0;
        while (k < N_OUTPUTS && strcmp(output->name, outputs[k].name))
            k++;
        if (k == N_OUTPUTS)
            return error_set(
                error, STATUS_INVALID_ARGUMENT,
                "outputs.%.64s: is not known; there are text_output, output_ids, changed_step and seed",
                output->name);
        if (output->n_parameters)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "outputs.%s.parameters.%.64s: is not known; outputs have no parameters here",
                             output->name, output->parameters[0]->key);
        *wanted |= 1u << k;
    }
    return STATUS_OK;
}

/* ---- raw contents, little-endian as the protocol has them ---- */

static void put(uint8_t *bytes, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

static ProtobufCBinaryData raw_numbers(const uint32_t *values, size_t n)
{
    uint8_t *bytes = malloc(4 * n + 1);
    for (size_t i = 0; bytes && i < n; i++)
        put(bytes + 4 * i, values[i], 4);
    return (ProtobufCBinaryData){4 * n, bytes};
}

static ProtobufCBinaryData raw_seed(uint64_t seed)
{
    uint8_t *bytes = malloc(8);
    if (bytes)
        put(bytes, seed, 8);
    return (ProtobufCBinaryData){8, bytes};
}

/* The text with its size before it. */
static ProtobufCBinaryData raw_text(const struct served_model *model, const struct infer_answer *answer)
{
    struct error error;
    char *text = NULL;
    size_t size = 0;
    if (tokenizer_decode(model->tokenizer, answer->ids, (size_t)answer->length, &text, &size, &error) !=
        STATUS_OK)
        return (ProtobufCBinaryData){0};
    char *clean = text_repair(text, size);
    free(text);
    size = clean ? strlen(clean) : 0;
    uint8_t *bytes = clean ? malloc(4 + size) : NULL;
    if (bytes) {
        put(bytes, size, 4);
        memcpy(bytes + 4, clean, size);
    }
    free(clean);
    return (ProtobufCBinaryData){4 + size, bytes};
}

static ProtobufCBinaryData raw_of(const struct served_model *model, const struct infer_answer *answer, int k)
{
    switch (1 << k) {
    case INFER_TEXT:
        return raw_text(model, answer);
    case INFER_IDS:
        return raw_numbers((const uint32_t *)answer->ids, (size_t)answer->length);
    case INFER_CHANGED:
        return raw_numbers(answer->changed_step, (size_t)answer->length);
    default:
        return raw_seed(answer->seed);
    }
}

/* ---- an answer ---- */

/* All that an answer points to. */
struct parts {
    output_tensor tensors[N_OUTPUTS], *tensor_pointers[N_OUTPUTS];
    int64_t shapes[N_OUTPUTS];
    ProtobufCBinaryData raw[N_OUTPUTS];
    size_t n_outputs;

    Inference__InferParameter values[N_PARAMETERS];
    entry entries[N_PARAMETERS], *entry_pointers[N_PARAMETERS];
    size_t n_parameters;
};

static bool add_output(struct parts *parts, const struct served_model *model,
                       const struct infer_answer *answer, int k)
{
    size_t i = parts->n_outputs;
    output_tensor *tensor = &parts->tensors[i];
    inference__model_infer_response__infer_output_tensor__init(tensor);
    parts->shapes[i] = outputs[k].of_length ? answer->length : 1;
    tensor->name = (char *)outputs[k].name;
    tensor->datatype = (char *)outputs[k].datatype;
    tensor->n_shape = 1;
    tensor->shape = &parts->shapes[i];
    parts->tensor_pointers[i] = tensor;
    parts->raw[i] = raw_of(model, answer, k);
    parts->n_outputs++;
    return parts->raw[i].data != NULL;
}

static Inference__InferParameter *add_parameter(struct parts *parts, const char *name,
                                                Inference__InferParameter__ParameterChoiceCase type)
{
    size_t i = parts->n_parameters++;
    inference__infer_parameter__init(&parts->values[i]);
    inference__model_infer_response__parameters_entry__init(&parts->entries[i]);
    parts->values[i].parameter_choice_case = type;
    parts->entries[i].key = (char *)name;
    parts->entries[i].value = &parts->values[i];
    parts->entry_pointers[i] = &parts->entries[i];
    return &parts->values[i];
}

static void add_parameters(struct parts *parts, const struct infer_answer *answer)
{
    add_parameter(parts, "request_id", INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM)
        ->string_param = (char *)answer->request;
    add_parameter(parts, "step", INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM)->int64_param =
        answer->step;
    add_parameter(parts, "steps", INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM)->int64_param =
        answer->steps;
    add_parameter(parts, "triton_final_response", INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM)
        ->bool_param = answer->final;
}

enum status infer_wire_answer(const struct served_model *model, const struct infer_answer *answer,
                              void (*send)(void *context, const infer_response *message), void *context,
                              struct error *error)
{
    struct parts parts = {0};
    infer_response message = INFERENCE__MODEL_INFER_RESPONSE__INIT;
    bool complete = true;
    for (int k = 0; k < N_OUTPUTS && complete; k++)
        complete = !(answer->outputs & 1u << k) || add_output(&parts, model, answer, k);
    add_parameters(&parts, answer);
    message.model_name = (char *)model->config.name;
    message.model_version = (char *)infer_model_version;
    message.id = (char *)answer->id;
    message.n_outputs = message.n_raw_output_contents = parts.n_outputs;
    message.outputs = parts.tensor_pointers;
    message.raw_output_contents = parts.raw;
    message.n_parameters = parts.n_parameters;
    message.parameters = parts.entry_pointers;
    if (complete)
        send(context, &message);
    for (size_t i = 0; i < parts.n_outputs; i++)
        free(parts.raw[i].data);
    return complete ? STATUS_OK : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the answer");
}

/* ---- metadata ---- */

void infer_wire_metadata(const struct served_model *model, Inference__ModelMetadataResponse *message)
{
    static int64_t one = 1, any = -1;
    static char *versions[] = {(char *)infer_model_version};
    static tensor_metadata tensors[2 + N_OUTPUTS], *pointers[2 + N_OUTPUTS];
    static const char *const inputs[] = {"text_input", "suffix"};
    for (int i = 0; i < 2 + N_OUTPUTS; i++) { /* the same whoever comes first */
        bool of_length = i >= 2 && outputs[i - 2].of_length;
        inference__model_metadata_response__tensor_metadata__init(&tensors[i]);
        tensors[i].name = (char *)(i < 2 ? inputs[i] : outputs[i - 2].name);
        tensors[i].datatype = (char *)(i < 2 ? "BYTES" : outputs[i - 2].datatype);
        tensors[i].n_shape = 1;
        tensors[i].shape = of_length ? &any : &one;
        pointers[i] = &tensors[i];
    }
    message->name = (char *)model->config.name;
    message->n_versions = 1;
    message->versions = versions;
    message->platform = (char *)"millrace";
    message->n_inputs = 2;
    message->inputs = pointers;
    message->n_outputs = N_OUTPUTS;
    message->outputs = pointers + 2;
}
