#ifndef MILLRACE_WORKER_MODEL_CONDITIONING_H
#define MILLRACE_WORKER_MODEL_CONDITIONING_H

#include "worker/model/observer.h"
#include "worker/model/plan.h"
#include "worker/model/weights.h"

/*
 * The modulation vectors of all blocks depend on (t, dt) alone, never on the text. They are computed once for
 * each (t, dt) and kept in a cache, which gives up the least recently used entry. All requests with the same
 * number of steps share entries. When the entry of a sequence's step is missing, the entries of its later
 * steps are computed with it, up to `at_once` together: so the weights are read once for all of them.
 *
 * One entry is a row of `table`: N times 6D for the blocks (shift1, scale1, gate1, shift2, scale2, gate2),
 * then 2D for the output layer (shift, scale). A network that does not see the time has one entry: no shift,
 * no scale, gates of one.
 */
struct conditioning {
    const struct model_weights *weights;
    const struct observer
        *observer; /* sees the entries that are computed, not those that are found; NULL: nobody looks */
    int n_entries;
    int64_t width; /* of a row: N·6D + 2D */
    float *table;  /* device [n_entries, width] */
    struct conditioning_key {
        float t, dt;
        int32_t class;
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

/* How many entries there are beyond those of one step's batch, for later steps; and how many are computed
 * together at most. */
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

/* `n_entries` must be more than the number of different (t, dt) in one step's batch. `at_once` must be at
 * most the max_rows that the device was opened for. */
enum status conditioning_init(struct conditioning *conditioning, const struct model_weights *weights,
                              int n_entries, int at_once, struct error *error);
void conditioning_release(struct conditioning *conditioning);

/* A plan begins. Entries that are asked for from now on stay until the next plan begins. */
void conditioning_turn(struct conditioning *conditioning);

/* Returns the entry of a sequence's step, (t, dt) and its class, and computes it when it is not there. It is
 * computed with those of later steps of the same schedule, if it has one. Within one turn at most n_entries -
 * 1 different ones may be asked for. */
int conditioning_entry(struct conditioning *conditioning, const struct plan_sequence *sequence);

/* Where the vectors of block i, and of the output layer, begin within an entry. */
int64_t conditioning_block_offset(const struct conditioning *conditioning, int block);
int64_t conditioning_output_offset(const struct conditioning *conditioning);

#endif
