#include "cli/convert/checkpoint_print.h"

#include <inttypes.h>

#include "cli/convert/checkpoint.h"
#include "cli/convert/networks.h"
#include "cli/convert/state_dict.h"
#include "common/model/network.h"

static enum status read_config(const struct state_dict *state, struct model_config *config,
                               struct error *error)
{
    static const struct shape_hints hints = {0};
    *config = (struct model_config){.name = "checkpoint",
                                    .scheduler_exponent = 1,
                                    .trained_length = 1,
                                    .max_length = 1,
                                    .default_steps = 1,
                                    .max_steps = 1}; /* these are not in the file; not printed */
    enum status status = state_dict_config(state, &hints, config, error);
    if (!status)
        status = model_config_complete(config, error);
    return status ? status : state_dict_check(state, config, error);
}

static void print_network(const struct checkpoint_network *network, const struct pickle_value *dict,
                          FILE *out)
{
    struct state_dict state = {0};
    struct model_config config;
    struct error error;
    enum status status = state_dict_read(dict, &state, &error);
    if (!status)
        status = read_config(&state, &config, &error);
    fprintf(out, "  %-18s ", network->entry);
    if (status)
        fprintf(out, "cannot be converted: %s\n", error.text);
    else
        fprintf(out,
                "%s, %.2f million parameters: vocabulary %d, width %d, %d heads, %d blocks, condition %d\n"
                "  %-18s millrace convert --weights %s\n",
                architecture_name(config.architecture), (double)model_config_parameters(&config) / 1e6,
                config.vocabulary, config.hidden, config.n_heads, config.n_blocks, config.condition, "",
                network->option);
    state_dict_release(&state);
}

enum status checkpoint_print(const char *path, FILE *out, struct error *error)
{
    struct checkpoint *checkpoint;
    enum status status = checkpoint_open(path, &checkpoint, error);
    if (status)
        return status;
    const struct pickle_value *root = checkpoint_root(checkpoint), *step = pickle_get(root, "step");
    fprintf(out, "%s: a checkpoint, %.1f MB\n", path, (double)checkpoint_file_bytes(checkpoint) / 1e6);
    if (step && step->kind == PICKLE_INTEGER)
        fprintf(out, "  %-18s %" PRId64 "\n", "step", step->integer);
    for (int i = 0; i < N_NETWORKS; i++) {
        const struct pickle_value *dict = network_find(&networks[i], root);
        if (dict)
            print_network(&networks[i], dict, out);
    }
    checkpoint_close(checkpoint);
    return STATUS_OK;
}
