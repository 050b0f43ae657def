#ifndef MILLRACE_CLI_CONVERT_NETWORKS_H
#define MILLRACE_CLI_CONVERT_NETWORKS_H

#include "cli/convert/pickle.h"

/*
 * The networks that a checkpoint may hold, the better ones first. The average of the student's weights
 * samples better than their last state. The last two are plain DFMs: the teacher of a distillation, and the
 * result of a pre-training.
 */
#define NETWORK_WHOLE_FILE "the file itself"

static const struct checkpoint_network {
    const char *option, *entry; /* --weights; the checkpoint's key */
} networks[] = {
    {"ema", "student_ema_model"},  {"student", "student_model"},
    {"teacher", "teacher_model"},  {"model", "model"},
    {"model", "state_dict"}, /* others save a network so: under a key, or as the whole file */
    {"model", "model_state_dict"}, {"model", NETWORK_WHOLE_FILE},
};
enum { N_NETWORKS = sizeof networks / sizeof *networks };

/* The network's state dict in a checkpoint's root, or NULL. */
const struct pickle_value *network_find(const struct checkpoint_network *network,
                                        const struct pickle_value *root);

#endif
