#ifndef MILLRACE_KERNELS_BACKEND_H
#define MILLRACE_KERNELS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/dtype.h"
#include "common/model/tiling.h"
#include "common/status.h"

/*
 * The table of operations that a model's forward pass and sampler are made of.
 *
 * A backend is one table (`cpu`, `cuda`). A device is one open instance of it: a set of CPU threads, or one
 * GPU with a stream. Callers see only this header.
 *
 * Memory. Everything that an operation reads or writes (x, y, index arrays, ...) is device memory from
 * `allocate`; on the CPU that is ordinary memory. Counts, strides and option structs are host values. Nothing
 * allocates after start-up: operations take their scratch from the arena that `open` reserved for `max_rows`
 * rows.
 *
 * Number formats. Where a pointer below is void, it points to values of the device's activation type: float32
 * on a device that was opened for float32, else bfloat16. Everything else is float32 or float64 on every
 * device: the residual stream, sums over ranks, conditioning, and all that sampling decides by.
 *
 * Order and errors. Operations are enqueued in the order of the calls. `synchronize` waits for all of them,
 * `wait` for those before a mark. Operations return nothing: the device keeps its first failure,
 * `synchronize` and `wait` return it, and calls in between do no harm.
 *
 * Arithmetic. Row i of a result depends on row i of the inputs alone; it does not matter how many rows there
 * are or what the others hold. Every sum has a fixed order. The promise "the same request gives the same
 * bytes" rests on this, on every backend, for each precision. On the CPU the order is also the same for every
 * instruction set (16 virtual lanes; products are fused only by an explicit fma). Through the leaves of a
 * weight (weight_create) it is also the same for every number of ranks that divides MATMUL_LEAVES.
 *
 * Threads. One thread owns a device. No call may overlap another on the same device.
 *
 * Shapes are written [rows, columns], row-major. `ld_*` is the distance between rows, in elements.
 */

enum { DEVICE_MARKS = 4 }; /* how many points in the order of operations a device remembers (mark, wait) */

struct device; /* one open backend */
struct weight; /* a matrix in the backend's own layout */

/* The format of the large weights, and with it the activation type. AUTO is float32 on the CPU and bfloat16
 * on a GPU. FP8 is a GPU's alone: e4m3 with one scale for each row, and each row of x is quantised with a
 * scale of its own. INT8 is the CPU's alone, and quantises alike. In both, activations are bfloat16. */
enum precision { PRECISION_AUTO, PRECISION_F32, PRECISION_BF16, PRECISION_FP8, PRECISION_INT8 };

/*
 * How one row of the head changes its token x. p is softmax of the row's logits without what is left out
 * (head_scan); u_jump and u_draw are the row's uniforms.
 *
 * HAZARD  x jumps if u_jump < 1 - exp(-bound (1 - p(x))); its new token is drawn from p without x.
 * DRAWN   the token is drawn from p.
 * LIKELIEST  the token with the largest logit; of equal ones the first.
 * MIXTURE    With Q = share p(x) + floor: if u_jump < noise / Q + noise_always, the token is noise; else if
 *            u_jump is less than that + from_p / Q, it is drawn from p, x among the rest; else x stays.
 *            Noise is the mask with probability mask_share, else any of the ids below n_noise (by u_draw).
 * SCORE   x jumps if u_jump < exp(log_scale) · Σ exp(logit); its new token is drawn from p.
 */
enum row_rule { ROW_HAZARD, ROW_DRAWN, ROW_LIKELIEST, ROW_MIXTURE, ROW_SCORE };

struct row_law {
    int32_t rule;    /* enum row_rule */
    int32_t n_noise; /* MIXTURE, as all below but the first and the last */
    int32_t mask;    /* -1: there is none */
    int32_t unused;
    double bound; /* HAZARD */
    double share, floor, from_p, noise, noise_always, mask_share;
    double log_scale; /* SCORE */
};

/* What a weight is for. A conditioning weight multiplies a few float32 rows once for each step of a schedule,
 * and the head's weight decides which tokens are drawn (head_scan, head_draw). Both keep more precision than
 * PRECISION_FP8 and PRECISION_INT8 leave: the head bfloat16, and on the CPU conditioning float32. */
enum weight_use { WEIGHT_PRODUCT, WEIGHT_CONDITIONING, WEIGHT_HEAD };

struct device_options {
    int n_threads; /* CPU: how many threads compute, the caller's included. GPU: ignored */
    int index;     /* GPU: its number, or -1 - n for number n modulo how many there are. CPU: ignored */
    enum precision precision;
    int max_rows;      /* the most rows of any operation */
    int max_positions; /* the longest sequence */
    int max_columns;   /* the widest row that an operation reads (K of the largest product) */
    /* Called on any of the device's threads whenever a piece of an operation is done, which takes well under
     * a second: so that one long operation is told from a thread that hangs. NULL: nobody watches. The CPU's;
     * a GPU's work is only enqueued, and it calls nothing. */
    void (*progressed)(void *context);
    void *progress_context;
    /* Called while the device opens, makes weights, or falls back to another way: what a log should keep, one
     * line without an end, on the owner's thread. NULL: nobody listens. A GPU's; a CPU has nothing to say. */
    void (*told)(void *context, const char *line);
    void *told_context;
};

enum activation { ACTIVATION_NONE, ACTIVATION_GELU_TANH, ACTIVATION_SILU };

/* y[rows, n_out] = activation(x[rows, n_in] · w^T + bias) */
struct matmul {
    const void *x;
    enum dtype x_type; /* the activation type, or float32 with a conditioning weight */
    int64_t ld_x;
    int rows;
    const struct weight *weight; /* made from w[n_out, n_in] */
    const float *bias;           /* [n_out] or NULL */
    enum activation activation;
    void *y;
    enum dtype y_type; /* the activation type or float32 */
    int64_t ld_y;
};

/*
 * y[i, :] = LN(x[i, :]) ⊙ weight ⊙ (1 + scale[c]) + shift[c] with c = condition_of_row[i] (adaLN: Peebles and
 * Xie, arXiv 2212.09748). LN is computed in float32, with biased variance, eps 1e-5 and no bias. scale[c] is
 * modulation[c * ld_modulation + scale_offset ...], and shift[c] likewise.
 */
struct norm_modulate {
    const float *x;      /* [rows, width] */
    const float *weight; /* [width] */
    int rows, width;
    const float *modulation; /* [n_conditions, ld_modulation] */
    int64_t ld_modulation, shift_offset, scale_offset;
    const int32_t *condition_of_row; /* [rows] */
    void *y;                         /* [rows, width] */
};

/* x[i, :] += gate[c] ⊙ (y[i, :] + bias), c = condition_of_row[i]; gate[c] = modulation[c * ld_modulation +
 * gate_offset ...] */
struct gated_add {
    float *x;          /* [rows, width] */
    const float *y;    /* [rows, width] */
    const float *bias; /* [width] or NULL. It is added here, after the all-reduce, and so only once */
    int rows, width;
    const float *modulation;
    int64_t ld_modulation, gate_offset;
    const int32_t *condition_of_row;
};

/*
 * Bidirectional softmax attention of packed sequences, for the heads of this rank:
 *   o[i, h] = Σ_j softmax_j(rot(q[i, h]) · rot(k[j, h]) / √head_size) v[j, h],
 * where j runs over the keys of the same sequence. The rotary embedding (Su et al., arXiv 2104.09864) has the
 * half-split layout: (a ‖ b) → (a cosθ − b sinθ ‖ b cosθ + a sinθ), θ = position · inv_freq. Queries are
 * packed apart from keys, because not every row needs a query. No [length, length] buffer exists.
 */
struct attention {
    const void *q;     /* [n_queries, n_heads * head_size], row stride ld_q */
    const void *k, *v; /* [n_rows, n_heads * head_size], row stride ld_kv */
    int64_t ld_q, ld_kv, ld_o;
    int n_heads, head_size;
    const float *rotary; /* [max_positions, head_size]: head_size/2 cosines, then as many sines */
    int n_sequences, n_queries;
    int longest;              /* keys of the longest sequence */
    const int32_t *key_start; /* [n_sequences + 1]: rows of k and v; position in the sequence = row - start */
    const int32_t *query_start;    /* [n_sequences + 1]: rows of q and o */
    const int32_t *query_position; /* [n_queries]: position of the query within its sequence */
    void *o;                       /* [n_queries, n_heads * head_size], row stride ld_o */
    int block_size; /* a query sees the keys of its own block of so many positions, and of the blocks before;
                       0: it sees all. Only where the backend has_laws */
};

/* The sum of exp over a part of a row of logits: Σ exp(l - max), and that max. An empty part is {-INFINITY,
 * 0}. */
struct exp_sum {
    float max, sum;
};

/*
 * What sampling needs of rows of logits, without the logits (ARCHITECTURE.md, "Sampling without logits").
 * Logits l = (x · w^T + bias) * inverse_temperature exist for one tile at a time. This rank holds the columns
 * [first_column, first_column + n_out) of the vocabulary; they begin and end at the border of a group. Its
 * groups and tiles are numbered from its own first one.
 */
struct head_scan {
    const void *x; /* [rows, n_in], dense */
    int rows;
    const struct weight *weight;
    const float *bias; /* [n_out] */
    int32_t first_column;
    int n_groups;                /* of this rank */
    const int32_t *group_column; /* [n_groups + 1], multiples of VOCABULARY_TILE from the rank's first column;
                                    the last is n_out */
    const float *inverse_temperature; /* [rows] */
    const int32_t *left_out;          /* [rows]: this token of the row is not summed; -1: none */
    struct exp_sum *tiles;            /* out [rows, n_tiles of this rank] */
    struct exp_sum *groups; /* out [n_groups, rows]: gathered, the ranks' results follow one another */
    float *left_out_logit;  /* out [rows]: the reported one's; -INFINITY where another rank holds it, or there
                               is none */
    const int32_t *reported; /* [rows]: the token whose logit is reported, summed or not; -1: none. NULL: that
                                which is left out, and only this where the backend has no laws */
};

/*
 * What becomes of each row, from the sums of all ranks. M is the largest max, S the sum of exp(l - M) without
 * the token that was left out, and e that token's own exp(l - M).
 *
 * bound[i] >= 0: a step with jumps, and the current token was left out. p_x = e/(S+e), P(jump) =
 * 1 - exp(-bound[i] (1 - p_x)), and the row jumps if u_jump[i] < P(jump). bound is hα of the cumulative
 * scalar (docs/solvers.md).
 *
 * bound[i] < 0: the last step. A mask token that may not be drawn was left out, or nothing. Every row is
 * drawn.
 *
 * With `law` the row's rule says it instead (enum row_rule).
 *
 * Either way a token is drawn from S alone. This finds the group in which the running sum over the columns
 * passes u_draw[i] · S, and what is left of that target within the group, in units of exp(max of the group).
 */
struct row_choice {
    int32_t group;    /* numbered over all ranks; -1: the row keeps its token; below -1: it gets the token
                         -2 - group, which is noise (enum row_rule) */
    float max;        /* M */
    double target;    /* within the group: at the drawn token Σ exp(l - max_group) passes this; negative: the
                         likeliest */
    double log_total; /* log p(token) = logit - log_total: M + ln(S + e), in the last step M + ln S */
};
struct head_choose {
    int rows;
    int n_groups;                 /* of all ranks */
    const struct exp_sum *groups; /* [n_groups, rows] */
    int n_ranks;
    const float *left_out_logit;   /* [n_ranks, rows]: the largest over the ranks is the holder's */
    const double *bound;           /* [rows]; not read where there are laws */
    const double *u_jump, *u_draw; /* [rows], in [0, 1) */
    struct row_choice *choice;     /* out [rows] */
    double *jump_probability;      /* out [rows]; 1 in the last step */
    const struct row_law *law;     /* [rows], or NULL. Only where the backend has_laws */
};

/* Draws the rows whose group this rank holds: it walks over the kept sums of the tiles, recomputes the tile
 * in which the target falls (bit for bit as head_scan saw it), and walks over its columns. */
struct drawn_token {
    int32_t token; /* -1: the row keeps its token, or another rank draws it */
    float logit;   /* l, after temperature */
};
struct head_draw {
    struct head_scan scan;           /* as it was called */
    int first_group;                 /* this rank's first, of all */
    const struct row_choice *choice; /* [rows] */
    struct drawn_token *drawn;       /* out [rows] */
};

/*
 * The name of a stretch of operations that is the same in many steps. A GPU records the stretch as a graph
 * and plays the graph afterwards. So two stretches with equal keys must make the same calls with the same
 * arguments; only what the memory holds may differ. Callers zero the struct first, because it is compared as
 * bytes.
 */
struct segment_key {
    int32_t which; /* the caller's number for this stretch */
    int32_t n_rows, n_sequences, longest;
};

struct device_memory {
    size_t total_bytes, free_bytes;
};

struct backend {
    const char *name;
    bool on_host;  /* device memory is ordinary memory, and a call returns when its operation is done */
    bool has_laws; /* knows row_law, head_scan's `reported` and attention's `block_size`, which the networks
                      of others need (common/model/network.h); FS-DFM needs none of them */

    /* How many devices there are to choose from (device_options.index): GPUs; on the CPU 1. */
    int (*count)(void);
    /* Opens the device and its scratch arena. */
    enum status (*open)(struct device **device, const struct device_options *options, struct error *error);
    void (*close)(struct device *device); /* NULL is allowed */
    /* One line for people: "cpu avx512, 2 threads". Valid while the device is open. */
    const char *(*describe)(const struct device *device);
    enum dtype (*activation_type)(const struct device *device);
    /* In what the embedding's table is kept: F32, or BF16 on the CPU in precisions below float32. */
    enum dtype (*table_type)(const struct device *device);
    /* The GPU's own memory; on the CPU the memory that this process may use of the machine. */
    struct device_memory (*memory)(const struct device *device);
    enum status (*synchronize)(struct device *device, struct error *error);
    /* mark remembers this point under `slot`, below DEVICE_MARKS; wait waits for all that was enqueued before
     * it. */
    void (*mark)(struct device *device, int slot);
    enum status (*wait)(struct device *device, int slot, struct error *error);

    /* Start-up only. Zeroed, aligned to 64 bytes; NULL when there is not enough memory. */
    void *(*allocate)(struct device *device, size_t size_bytes);
    void (*release)(struct device *device, void *memory); /* NULL is allowed */

    /* Host memory that the device can read and write while the host goes on. Start-up only. Zeroed; NULL when
     * there is not enough. */
    void *(*host_allocate)(struct device *device, size_t size_bytes);
    void (*host_release)(struct device *device, void *memory); /* NULL is allowed */

    /* Copies between host and device, enqueued. Host memory from `host_allocate` must stay as it is until the
     * copy is done (mark, wait). Other host memory may be used again when `upload` returns, and holds what
     * was downloaded after `synchronize`. */
    void (*upload)(struct device *device, void *to, const void *from, size_t size_bytes);
    void (*download)(struct device *device, void *to, const void *from, size_t size_bytes);

    /*
     * Brings w[n_out, n_in], which is n_parts views stacked along n_out, into the backend's layout and
     * precision. leaf_start[n_leaves + 1], rising from 0 to n_in, says where the sum over n_in is cut; leaves
     * may be empty. The sums of the leaves are added as a balanced tree, ((0+1)+(2+3))+... . n_leaves is a
     * power of two; with NULL and 1 the sum is not cut. A GPU never cuts, so its bits may differ between
     * numbers of ranks. Start-up only.
     */
    enum status (*weight_create)(struct device *device, enum weight_use use, const struct matrix_view *parts,
                                 int n_parts, const int32_t *leaf_start, int n_leaves, struct weight **weight,
                                 struct error *error);
    void (*weight_free)(struct device *device, struct weight *weight);
    /* How much of the device's memory weight_create takes for w[n_out, n_in] with these leaves. */
    size_t (*weight_bytes)(const struct device *device, enum weight_use use, int n_out, int n_in,
                           const int32_t *leaf_start, int n_leaves);

    /* x[i, :] = table[ids[i] - first, :], or zeros where ids[i] is outside [first, first + n). table[n,
     * width] has the table type. */
    void (*embed)(struct device *device, const void *table, int32_t first, int32_t n, int width,
                  const int32_t *ids, int rows, float *x);
    /* y[i, :] = x[index[i], :], rows of row_bytes (a multiple of 4) */
    void (*gather_rows)(struct device *device, const void *x, size_t row_bytes, const int32_t *index,
                        int rows, void *y);
    /* y[i] = index[i] >= 0 ? ids[index[i]] : other[i]. y may be neither ids nor other. */
    void (*select_ids)(struct device *device, const int32_t *ids, const int32_t *index, const int32_t *other,
                       int n, int32_t *y);
    /* ids[row[i]] = the token that one of the ranks has drawn for row i, if one has. drawn is [n_ranks,
     * rows]. */
    void (*write_drawn)(struct device *device, const struct drawn_token *drawn, int n_ranks,
                        const int32_t *row, int rows, int32_t *ids);
    void (*matmul)(struct device *device, const struct matmul *op);
    void (*norm_modulate)(struct device *device, const struct norm_modulate *op);
    void (*gated_add)(struct device *device, const struct gated_add *op);
    void (*attention)(struct device *device, const struct attention *op);
    void (*head_scan)(struct device *device, const struct head_scan *op);
    void (*head_choose)(struct device *device, const struct head_choose *op);
    void (*head_draw)(struct device *device, const struct head_draw *op);
    /* y[n] = a[n] + b[n]: the collective's reduction. y may be a. */
    void (*add)(struct device *device, const float *a, const float *b, int64_t n, float *y);

    /* true: make the calls of this stretch now, then call segment_end. false: the stretch is being played;
     * make none of its calls and do not call segment_end. */
    bool (*segment_begin)(struct device *device, const struct segment_key *key);
    void (*segment_end)(struct device *device);
};

/* Finds the backend called `name` ("cpu", "cuda"), or for "auto" the best one that this machine can run, the
 * CPU last. NOT_FOUND: there is no such name. UNAVAILABLE: it cannot run here, and why. */
enum status backend_find(const char *name, const struct backend **backend, struct error *error);

extern const struct backend backend_cpu;

#endif
