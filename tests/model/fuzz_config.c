#include <assert.h>
#include <string.h>

#include "common/model/layout.h"
#include "tests/model/fuzz.h"

int fuzz_config(const uint8_t *bytes, size_t size_bytes)
{
    struct model_config config;
    struct model_tensor tensor;
    struct error error = {STATUS_OK, ""};
    if (model_config_parse((const char *)bytes, size_bytes, "fuzz", &config, &error)) {
        assert(error.status != STATUS_OK && strncmp(error.text, "fuzz: ", 6) == 0);
        return 0;
    }
    assert(config.head_size * config.n_heads == config.hidden && config.head_size % 2 == 0);
    assert(config.n_ids - config.vocabulary == (config.mask_token >= 0));
    assert(config.scheduler_exponent > 0 && config.default_steps <= config.max_steps);
    assert(strlen(config.name) > 0);
    model_layout_at(&config, model_layout_count(&config) - 1, &tensor);
    assert(model_tensor_elements(&tensor) > 0 && model_config_parameters(&config) > 0);
    return 1;
}
