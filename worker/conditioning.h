#ifndef MILLRACE_WORKER_CONDITIONING_H
#define MILLRACE_WORKER_CONDITIONING_H

#include "worker/observer.h"
#include "worker/weights.h"

/*
 * The modulation vectors of all blocks depend on (t, dt) alone, never on the text: they are computed
 * once for each (t, dt) and kept. A cache of the least recently used kind; all requests with the same number of steps share
 * its entries.
 *
 * One entry is a row of `table`: N times 6D for the blocks, then 2D for the output layer
 * (shift1, scale1, gate1, shift2, scale2, gate2; shift, scale).
 */
struct conditioning {
    const struct model_weights *weights;
    const struct observer *observer; /* sees what is computed, not what is found; NULL: nobody looks */
    int n_entries;
    int64_t width; /* of a row: N·6D + 2D */
    float *table;  /* device [n_entries, width] */
    struct conditioning_key {
        float t, dt;
        uint64_t used; /* the clock's value at the last use; 0: empty */
    } * keys;          /* [n_entries] */
    uint64_t clock;
    float *features;        /* device [256] */
    float *hidden;          /* device [C] */
    float *joined;          /* device [2C]: t_emb, dt_emb */
    float *condition;       /* device [2C] or, in a teacher, [C] */
    float *block_condition; /* device [C] */
};

/* `n_entries` is at least the number of different (t, dt) of one step's batch. */
enum status conditioning_init(struct conditioning *conditioning, const struct model_weights *weights,
                              int n_entries, struct error *error);
void conditioning_release(struct conditioning *conditioning);

/* The entry of (t, dt), computed if it is not there. Stays valid until n_entries - 1 other pairs were asked for. */
int conditioning_entry(struct conditioning *conditioning, float t, float dt);

/* Where the vectors of block i, and of the output layer, begin within an entry. */
int64_t conditioning_block_offset(const struct conditioning *conditioning, int block);
int64_t conditioning_output_offset(const struct conditioning *conditioning);

#endif
