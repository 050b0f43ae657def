#include <assert.h>
#include <string.h>

#include "cli/convert/checkpoint.h"
#include "cli/convert/published_checkpoint.h"
#include "cli/convert/state_dict.h"
#include "common/model/network.h"
#include "tests/model/fuzz.h"

/* What the converter does with a network, as far as it can be done without the archive. */
static void read_network(const struct pickle_value *dict)
{
    static const struct shape_hints hints = {0};
    struct state_dict state;
    struct model_config config = {.name = "fuzz",
                                  .scheduler_exponent = 1,
                                  .trained_length = 1,
                                  .max_length = 1,
                                  .default_steps = 1,
                                  .max_steps = 1};
    struct error error;
    int64_t n_elements;
    if (state_dict_read(dict, &state, &error))
        return;
    for (size_t i = 0; i < state.n; i++) {
        assert(state_dict_find(&state, state.tensors[i].name) == state.tensors[i].tensor);
        if (pickle_tensor_elements(state.tensors[i].tensor, &n_elements, &error) == STATUS_OK)
            assert(n_elements >= 0);
    }
    if (state_dict_config(&state, &hints, &config, &error) == STATUS_OK &&
        model_config_complete(&config, &error) == STATUS_OK &&
        state_dict_check(&state, &config, &error) != STATUS_OK)
        assert(strlen(error.text) > 0);
    state_dict_release(&state);
}

/* The same of a published network, whichever it is; with the average and without. */
static void read_published(const struct pickle_value *root)
{
    static const char *const weights[] = {"raw", "ema"};
    for (int i = 0; i < 2; i++) {
        struct state_dict state;
        struct convert_report report = {0};
        struct model_config config = {
            .name = "fuzz", .trained_length = 1, .max_length = 1, .default_steps = 1, .max_steps = 1};
        struct error error = {0};
        if (published_state(root, ARCHITECTURE_UDLM, weights[i], &state, &report, &error))
            continue;
        if (published_fill(&state, NULL, 0, ARCHITECTURE_UDLM, &config, &error) == STATUS_OK &&
            model_config_complete(&config, &error) == STATUS_OK &&
            state_dict_check(&state, &config, &error) != STATUS_OK)
            assert(strlen(error.text) > 0);
        state_dict_release(&state);
    }
}

int fuzz_pickle(const uint8_t *bytes, size_t size_bytes)
{
    struct pickle *pickle;
    struct error error = {STATUS_OK, ""};
    if (pickle_parse(bytes, size_bytes, &pickle, &error)) {
        assert(error.status != STATUS_OK && strncmp(error.text, "pickle, byte ", 13) == 0);
        return 0;
    }
    const struct pickle_value *root = pickle_root(pickle);
    if (root->kind == PICKLE_DICT)
        for (size_t i = 0; i < root->items.n; i += 2)
            read_network(root->items.items[i + 1]);
    read_published(root);
    pickle_free(pickle);
    return 1;
}
