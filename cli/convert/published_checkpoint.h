#ifndef MILLRACE_CLI_CONVERT_PUBLISHED_CHECKPOINT_H
#define MILLRACE_CLI_CONVERT_PUBLISHED_CHECKPOINT_H

#include "cli/convert/convert.h"
#include "cli/convert/state_dict.h"

/*
 * Checkpoints of the published networks (common/model/network.h): pytorch_model.bin, a Lightning .ckpt
 * ("state_dict" and "ema"), or SEDD's own ("model" and "ema"). The average of the weights is a list without
 * names, ema.shadow_params. It follows the order of the state dict after its buffers are taken out.
 */

/* Which network the checkpoint is of: --family, or the config.json beside it, or --config.
 * ARCHITECTURE_COUNT: none of the published ones is named. `config` is filled where a config.json is read,
 * and *has_config says so. INVALID_ARGUMENT says what is wrong with it. */
enum status published_find_config(const struct convert_options *options, struct model_config *config,
                                  bool *has_config, enum architecture *architecture, struct error *error);

/* The state that options->weights names: "ema" (which is taken where nothing is named and there is one) or
 * "raw". Names are without the publisher's prefix, and buffers are left out. */
enum status published_state(const struct pickle_value *root, enum architecture architecture,
                            const char *weights, struct state_dict *state, struct convert_report *report,
                            struct error *error);

/* Fills *config from the shapes and, where there was one, the published config, which it must fit. */
enum status published_fill(const struct state_dict *state, const struct model_config *published, int n_heads,
                           enum architecture architecture, struct model_config *config, struct error *error);

#endif
