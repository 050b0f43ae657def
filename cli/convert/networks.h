#ifndef MILLRACE_CLI_CONVERT_NETWORKS_H
#define MILLRACE_CLI_CONVERT_NETWORKS_H

/*
 * The networks that a checkpoint may hold, the better ones first: the average of the student's weights
 * samples better than its last state; the last two are the plain DFM, of distillation and of pre-training.
 */
static const struct network {
    const char *option, *entry; /* --weights; the checkpoint's key */
} networks[] = {
    {"ema", "student_ema_model"},
    {"student", "student_model"},
    {"teacher", "teacher_model"},
    {"model", "model"},
};
enum { N_NETWORKS = sizeof networks / sizeof *networks };

#endif
