#ifndef MILLRACE_CLI_CONVERT_COMPARE_H
#define MILLRACE_CLI_CONVERT_COMPARE_H

#include "cli/convert/checkpoint.h"
#include "common/model/tensors.h"

/* These functions compare bit for bit. DATA_LOSS says which tensor differs first, and how. */

/* Compares names, shapes, number formats and bytes; the order of the tensors does not matter. */
enum status compare_tensors(const struct tensors *expected, const struct tensors *found, struct error *error);

/* Decodes a tensor of a checkpoint and compares it. Half precision is expected as float32. */
enum status compare_checkpoint_tensor(struct checkpoint *checkpoint, const struct pickle_tensor *found,
                                      const struct tensor *expected, struct error *error);

#endif
