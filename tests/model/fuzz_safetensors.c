#include <assert.h>
#include <string.h>

#include "common/model/tensors.h"
#include "tests/model/fuzz.h"

/* Reads the first and the last byte of everything and finds each name again. */
static unsigned touch(const struct tensors *tensors)
{
    unsigned sum = 0;
    for (int i = 0; i < tensors_count(tensors); i++) {
        const struct tensor *tensor = tensors_at(tensors, i);
        const unsigned char *data = tensor->data;
        assert(tensors_find(tensors, tensor->name) == tensor);
        if (tensor->size_bytes > 0)
            sum += data[0] + data[tensor->size_bytes - 1];
    }
    return sum;
}

int fuzz_safetensors(const uint8_t *bytes, size_t size_bytes)
{
    static const struct model_config nano = {.architecture = ARCHITECTURE_DFM,
                                             .vocabulary = 40,
                                             .n_ids = 40,
                                             .mask_token = -1,
                                             .hidden = 16,
                                             .n_heads = 2,
                                             .head_size = 8,
                                             .n_blocks = 1,
                                             .condition = 8};
    struct tensors *tensors;
    struct error error = {STATUS_OK, ""};
    char fingerprint[17];
    if (tensors_open_memory(bytes, size_bytes, "fuzz", &tensors, &error)) {
        assert(error.status != STATUS_OK && strncmp(error.text, "fuzz: ", 6) == 0);
        return 0;
    }
    volatile unsigned sum = touch(tensors);
    (void)sum;
    if (tensors_check_model(tensors, &nano, &error))
        assert(strlen(error.text) > 0);
    tensors_fingerprint(tensors, &nano, fingerprint);
    tensors_close(tensors);
    return 1;
}
