#ifndef MILLRACE_CLI_CHECK_VERIFY_CHECKPOINTS_H
#define MILLRACE_CLI_CHECK_VERIFY_CHECKPOINTS_H

#include <jansson.h>

/*
 * Checks the checkpoints of a directory of golden vectors, ckpt_*.pth. The content of each is compared with
 * manifest.json. Every network in it that is a model is converted, and must equal one of the directory's
 * weights_*.safetensors bit for bit. The tensors of a checkpoint that is no model must equal those of
 * expect_NAME.safetensors.
 *
 * Appends its findings to the array `findings`, in the form that millrace-worker --verify prints
 * (worker/verify/report.h).
 */
void verify_checkpoints(const char *directory, json_t *findings);

#endif
