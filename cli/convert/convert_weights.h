#ifndef MILLRACE_CLI_CONVERT_CONVERT_WEIGHTS_H
#define MILLRACE_CLI_CONVERT_CONVERT_WEIGHTS_H

#include "cli/convert/checkpoint.h"
#include "cli/convert/convert.h"
#include "cli/convert/state_dict.h"

/* Copies the tensors of `state`, which state_dict_check has passed, to the safetensors file `path`. */
enum status convert_weights(const struct convert_options *options, const struct model_config *config,
                            struct checkpoint *checkpoint, const struct state_dict *state, const char *path,
                            struct error *error);

#endif
