#ifndef MILLRACE_WORKER_MODEL_CONDITIONING_H
#define MILLRACE_WORKER_MODEL_CONDITIONING_H

#include "worker/model/observer.h"
#include "worker/model/weights.h"

/*
 * The modulation vectors of all blocks depend on (t, dt) alone, never on the text: they are computed
 * once for each (t, dt) and kept. A cache of the least recently used kind; all requests with the same number
 * of steps share its entries. Where a sequence's step is not there, the steps that it still has to take are
 * computed with it, at most `at_once`: the weights are read once for all of them, and the steps after the
 * first find theirs.
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
        uint64_t used;      /* the clock's value at the last use; 0: empty */
    } * keys;               /* [n_entries] */
    uint64_t clock, turn;   /* turn: the clock when the plan at hand began */
    int at_once;            /* rows of the buffers below; device, [at_once, ...] */
    float *features;        /* [SINUSOID_WIDTH] */
    float *hidden;          /* [C] */
    float *joined;          /* [2C]: t_emb, dt_emb */
    float *condition;       /* [2C] or, in a teacher, [C] */
    float *block_condition; /* [C] */
    float *host_features;   /* host [at_once, SINUSOID_WIDTH] */
};

/* Entries beyond those of one step's batch: room for steps that are still to come; and how many are computed
 * together. */
enum { CONDITIONING_SPARE = 64, CONDITIONING_AT_ONCE = 16 };

/* How many entries a worker keeps for batches of so many sequences, and how many of them it computes
 * together. */
static inline int conditioning_entries(int max_sequences)
{
    return max_sequences + CONDITIONING_SPARE;
}

static inline int conditioning_at_once(int max_rows)
{
    return max_rows < CONDITIONING_AT_ONCE ? max_rows : CONDITIONING_AT_ONCE;
}

/* `n_entries` is more than the number of different (t, dt) of one step's batch; at_once at most what the
 * device was opened for. */
enum status conditioning_init(struct conditioning *conditioning, const struct model_weights *weights,
                              int n_entries, int at_once, struct error *error);
void conditioning_release(struct conditioning *conditioning);

/* A plan begins: entries asked for from now on stay until the next one does. */
void conditioning_turn(struct conditioning *conditioning);

/* The entry of (t, dt), which is step `step` of a schedule of `n_steps`, or of no schedule (n_steps 0);
 * computed if it is not there. Between two turns at most n_entries - 1 different pairs may be asked for. */
int conditioning_entry(struct conditioning *conditioning, float t, float dt, int step, int n_steps);

/* Where the vectors of block i, and of the output layer, begin within an entry. */
int64_t conditioning_block_offset(const struct conditioning *conditioning, int block);
int64_t conditioning_output_offset(const struct conditioning *conditioning);

#endif
