#ifndef MILLRACE_CLI_CONVERT_CONVERT_H
#define MILLRACE_CLI_CONVERT_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/dtype.h"
#include "common/model/config.h"
#include "common/status.h"

/* Turns a checkpoint (.pth, .ckpt, pytorch_model.bin) into a model directory: one of the FS-DFM reference, or
 * of a published network of others. */
struct convert_options {
    const char *checkpoint;
    const char *directory; /* made if it is not there; must not hold a model */
    const char *weights;   /* "ema", "student", "teacher", "model"; of another's network "ema" or "raw"; NULL:
                              the first of   these that the file has */
    const char *family; /* "mdlm", "sedd", ...: the network of another (common/model/network.h); NULL: none,
                           or as the config says */
    const char *config; /* its published config.json; NULL: the one beside a pytorch_model.bin */
    const char *tokenizer; /* a tokenizer.json to copy, or NULL */
    const char *name;      /* the model's; NULL: the directory's own */
    bool source_given;     /* else told from the number of rows: 50258 is a mask source */
    enum source source;
    int n_heads;        /* 0: told from rotary_emb.inv_freq */
    double exponent;    /* of the scheduler; it is not in the file */
    int trained_length; /* it is not in the file either */
    int max_length, default_steps, max_steps;
    enum dtype dtype; /* of the matrices: DTYPE_F32 or DTYPE_BF16. Vectors (biases, norms) stay F32 */

    /* Called now and then while numbers are copied; may be NULL. */
    void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void *progress_context;
};

/* Defaults for what is not in the file, as the reference trains: exponent 1, length 1024, 8 steps and at most
 * 1024, float32. */
struct convert_options convert_defaults(void);

struct convert_report {
    struct model_config config;
    char entry[32];      /* "student_ema_model": the network that was taken from the checkpoint */
    char offered[128];   /* all networks of the checkpoint, separated by ", " */
    int64_t step;        /* of training; -1: not in the file */
    uint64_t file_bytes; /* of model.safetensors */
    char fingerprint[17];
};

/*
 * Writes model.safetensors, tokenizer.json if one is given, and last config.json, whose "origin" says where
 * the weights come from. The checkpoint is untrusted: nothing in it is executed, and memory stays small
 * whatever its size (checkpoint.h). INVALID_ARGUMENT names the file, the entry, the tensor and the reason.
 * ALREADY_EXISTS: the directory has a model in it. On failure no config.json is left, so that a half-made
 * directory does not pass for a model.
 */
enum status convert_checkpoint(const struct convert_options *options, struct convert_report *report,
                               struct error *error);

/* `millrace convert`: returns the exit status. */
int convert_main(int argc, char **argv);

#endif
