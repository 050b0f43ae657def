#ifndef MILLRACE_WORKER_VERIFY_FAMILY_REPLAY_H
#define MILLRACE_WORKER_VERIFY_FAMILY_REPLAY_H

#include "worker/verify/family.h"

/*
 * A recorded run of a family's own sampler, with every random number given. Each pass goes through the model.
 * The recorded uniforms say, with the law that the engine makes of the logits, which token each position
 * holds next; and where the engine offers the law, its own sampler must come to the same token (replay_pass).
 */
struct replay {
    const struct golden *golden;
    struct golden_file file;
    const json_t *entry; /* the trajectory's settings */
    struct model model;
    const struct array *tokens;   /* [frames, texts, length]; BD3-LM's [frames, length] */
    const struct array *editable; /* [texts, length], or NULL */
    int n_texts, length;
    int frame;     /* that comes next */
    double *x;     /* [texts, length]: what the texts are now */
    int n_wrong;   /* tokens that differ from the recorded ones, of all frames */
    int n_refuted; /* tokens that the engine's sampler drew otherwise */
    int n_drawn;   /* by the engine's sampler */
    int n_passes;
    double times; /* the largest difference of a time */
    int n_times;
    float *logits;           /* [texts · length, n_ids], of the pass at hand */
    double *p, *law, *other; /* [n_ids] */
    double *u_jump, *u_draw; /* [texts · length] */
    int *wanted;             /* [texts · length]: the token that comes next */
    bool *needed;            /* [texts · length] */
    struct sampled *sampled; /* [length] */
};

/* How the tokens of a pass are found. */
struct replay_step {
    double t;              /* noise time of the network; see class */
    struct row_law law[2]; /* the engine's */
    double limit[2];
    const double *u;      /* [texts, length]: the inverse CDF of the law, over all ids in order */
    const double *u_kind; /* with u and u_other: keep, draw from p by u, or noise by u_other */
    const double *u_other;
    double nucleus;  /* below 1: p is cut to the most probable ids; not the engine's */
    double least;    /* entries of the law below it are 0; not the engine's */
    int class;       /* -1: of none */
    double guidance; /* with class: weight of the class's posterior; 1: alone */
    bool is_guided;
};

/* Runs the texts through the network at time t; fills replay->logits. */
enum status replay_logits(struct replay *replay, double t, int class, struct error *error);

/* Takes one pass and compares the frame. */
enum status replay_pass(struct replay *replay, const struct replay_step *step, struct error *error);

/* Compares the texts with the next frame. */
void replay_compare(struct replay *replay);

/* A tensor of uniforms of pass `pass`: [texts, length] of [passes, texts, length], or NULL with an error. */
const double *replay_uniforms(struct replay *replay, const char *name, int pass);

/* One of each family; texts are at x_init. */
enum status replay_masked(struct replay *replay, struct error *error);
enum status replay_windows(struct replay *replay, struct error *error);
enum status replay_uniform(struct replay *replay, struct error *error);
enum status replay_scores(struct replay *replay, struct error *error);
enum status replay_mixed(struct replay *replay, struct error *error);
enum status replay_blocks(struct replay *replay, struct error *error);

#endif
