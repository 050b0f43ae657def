#ifndef MILLRACE_CLI_CONVERT_COMPARE_H
#define MILLRACE_CLI_CONVERT_COMPARE_H

#include "cli/convert/checkpoint.h"
#include "common/model/tensors.h"

/* Comparison bit for bit; DATA_LOSS names the first tensor that differs, and how. */

/* The same names, shapes, number formats and bytes, in any order. */
enum status compare_tensors(const struct tensors *expected, const struct tensors *found, struct error *error);

/* A tensor of a checkpoint, decoded. Half precision is expected as float32. */
enum status compare_checkpoint_tensor(struct checkpoint *checkpoint, const struct pickle_tensor *found,
                                      const struct tensor *expected, struct error *error);

#endif
