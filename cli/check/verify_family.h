#ifndef MILLRACE_CLI_CHECK_VERIFY_FAMILY_H
#define MILLRACE_CLI_CHECK_VERIFY_FAMILY_H

#include <jansson.h>

#include "common/status.h"
#include "common/temporary.h"

/*
 * The golden vectors of a published family hold files of torch, which a worker does not read. They are
 * converted into model directories before the workers run: NAME of each model whose weights are a
 * pytorch_model.bin, and FILE.raw and FILE.ema of each training checkpoint.
 *
 * converted[0] is 0 for a directory of another kind. Findings say what was converted, or why not.
 */
enum status verify_family_convert(const char *directory, char converted[TEMPORARY_ROOM], json_t *findings,
                                  struct error *error);
void verify_family_remove(const char *converted);

#endif
