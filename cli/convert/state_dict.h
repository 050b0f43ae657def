#ifndef MILLRACE_CLI_CONVERT_STATE_DICT_H
#define MILLRACE_CLI_CONVERT_STATE_DICT_H

#include "cli/convert/pickle.h"
#include "common/model/config.h"
#include "common/status.h"

/* A network's tensors by their bare names. Prefixes of wrappers ("module.", "_orig_mod."), however many, are
 * removed. */
struct state_dict {
    struct named_tensor {
        char *name;
        const struct pickle_tensor *tensor;
    } * tensors; /* sorted by name */
    size_t n;
};

/* Reads a dict of tensors. INVALID_ARGUMENT for anything else in it, or a name that is there twice. */
enum status state_dict_read(const struct pickle_value *dict, struct state_dict *state, struct error *error);
void state_dict_release(struct state_dict *state);

/* NULL when there is none. */
const struct pickle_tensor *state_dict_find(const struct state_dict *state, const char *name);

/* What the shapes alone do not tell. */
struct shape_hints {
    bool source_given; /* else a model of 50258 rows has a mask source (GPT-2's 50257 and the mask), any other
                          a uniform one */
    enum source source;
    int n_heads; /* 0: from the length of rotary_emb.inv_freq */
};

/* Sets architecture, source, vocabulary, hidden, n_heads, n_blocks and condition of *config from the shapes.
 */
enum status state_dict_config(const struct state_dict *state, const struct shape_hints *hints,
                              struct model_config *config, struct error *error);

/* Sets the sizes of *config from the shapes; its architecture and source are set. */
enum status state_dict_sizes(const struct state_dict *state, const struct shape_hints *hints,
                             struct model_config *config, struct error *error);

/* Checks that the tensors are exactly those of the config: names, shapes, floating dtypes. */
enum status state_dict_check(const struct state_dict *state, const struct model_config *config,
                             struct error *error);

#endif
