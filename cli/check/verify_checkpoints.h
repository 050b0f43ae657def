#ifndef MILLRACE_CLI_CHECK_VERIFY_CHECKPOINTS_H
#define MILLRACE_CLI_CHECK_VERIFY_CHECKPOINTS_H

#include <jansson.h>

/*
 * The checkpoints of a directory of golden vectors, ckpt_*.pth. What one holds is asked of itself and
 * compared with manifest.json; every network in it that is a model is converted, and must equal one of the
 * directory's weights_*.safetensors bit for bit; the tensors of one that is none must equal those of
 * expect_NAME.safetensors.
 *
 * Appends findings of the form that millrace-worker --verify prints (worker/verify/report.h) to the array
 * `findings`.
 */
void verify_checkpoints(const char *directory, json_t *findings);

#endif
