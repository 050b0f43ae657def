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
 * One backend = one table (`cpu`, `cuda`); one device = one open instance of it: a set of CPU
 * threads, or one GPU with a stream. Callers see only this header.
 *
 * Memory. Everything an operation reads or writes (x, y, index arrays, ...) is device memory from
 * `allocate`; on the CPU that is ordinary memory. Counts, strides and option structs are host
 * values. Nothing allocates after start-up: operations that need scratch take it from the arena that
 * `open` reserved for `max_rows` rows.
 *
 * Number formats. What flows from one operation to the next, wherever a pointer below is void, has the
 * device's activation type: float32 on the CPU, bfloat16 on a GPU unless it was opened for float32. The
 * residual stream, sums over ranks, conditioning and everything that sampling decides by are float32 or
 * float64 everywhere.
 *
 * Order and errors. Operations are enqueued in the order of the calls; `synchronize` waits for them, `wait`
 * for those before a mark. They return nothing: the first failure is kept by the device and returned by
 * `synchronize` and `wait`, and the calls between do no harm.
 *
 * Arithmetic. Row i of a result depends on row i of the inputs alone, never on how many rows there
 * are or what they hold, and every sum has a fixed order: the contract "same request, same bytes" is
 * built on this, on every backend. On the CPU the order is also the same for every instruction set (16
 * virtual lanes; products fused only by explicit fma) and, through the leaves of a weight (below), for every
 * tensor-parallel degree that divides MATMUL_LEAVES.
 *
 * Threads. One thread owns a device; no call may overlap another on the same device.
 *
 * Shapes are written [rows, columns], row-major; `ld_*` is the distance between rows in elements.
 */

enum { DEVICE_MARKS = 4 }; /* points in the order of operations that can be waited for at the same time */

struct device; /* one open backend */
struct weight; /* a matrix in the backend's own layout */

/* What the large weights are kept as, and with them what flows between operations. AUTO: float32 on the CPU
 * (which has no other), bfloat16 on a GPU. FP8: weights e4m3 with a scale a row, rows of x quantised with a
 * scale each; activations bfloat16. */
enum precision { PRECISION_AUTO, PRECISION_F32, PRECISION_BF16, PRECISION_FP8 };

/* What a weight is for. A conditioning weight multiplies a few float32 rows once per step of a schedule, and
 * a head's decides what is drawn (head_scan, head_draw): both keep more precision than PRECISION_FP8 leaves.
 */
enum weight_use { WEIGHT_PRODUCT, WEIGHT_CONDITIONING, WEIGHT_HEAD };

struct device_options {
    int n_threads; /* CPU: threads that compute, the caller's included. GPU: ignored */
    int index;     /* GPU: which one; -1 - n: number n modulo how many there are. CPU: ignored */
    enum precision precision;
    int max_rows;      /* the most rows of any operation */
    int max_positions; /* the longest sequence */
    int max_columns;   /* the widest row that an operation reads (K of the largest product) */
    /* Called on any of the device's threads whenever a piece of an operation is done, which takes well under
     * a second: so that one long operation is told from a thread that hangs. NULL: nobody watches. The CPU's;
     * a GPU's work is only enqueued, and it calls nothing. */
    void (*progressed)(void *context);
    void *progress_context;
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
 * y[i, :] = LN(x[i, :]) ⊙ weight ⊙ (1 + scale[c]) + shift[c] with c = condition_of_row[i];
 * LN in float32 with biased variance and eps 1e-5, no bias. (adaLN: Peebles and Xie, arXiv 2212.09748.)
 * scale[c] is modulation[c * ld_modulation + scale_offset ...], likewise shift.
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
    float *x;       /* [rows, width] */
    const float *y; /* [rows, width] */
    const float
        *bias; /* [width] or NULL; here and not in matmul, so that it is added once, after the all-reduce */
    int rows, width;
    const float *modulation;
    int64_t ld_modulation, gate_offset;
    const int32_t *condition_of_row;
};

/*
 * Bidirectional softmax attention of packed sequences, heads of this rank only:
 *   o[i, h] = Σ_j softmax_j(rot(q[i, h]) · rot(k[j, h]) / √head_size) v[j, h],
 * j over the keys of the same sequence. Rotary embedding (Su et al., arXiv 2104.09864), half-split layout:
 * (a ‖ b) → (a cosθ − b sinθ ‖ b cosθ + a sinθ), θ = position · inv_freq. Not every row needs a query:
 * queries are packed apart from keys. No [length, length] buffer exists.
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
};

/* Sum of exp over part of a row of logits: Σ exp(l - max) and that max; an empty part is {-INFINITY, 0}. */
struct exp_sum {
    float max, sum;
};

/*
 * What sampling needs of one row of logits, without the logits (ARCHITECTURE.md, "Sampling without
 * logits"). Logits l = (x · w^T + bias) * inverse_temperature exist
 * only one tile at a time. This rank holds columns [first, first + n_out) of the vocabulary, which
 * begin and end at a group's border; groups and tiles are numbered from the rank's own first.
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
    const int32_t *left_out; /* [rows]: this token of the row is not summed but reported alone; -1: none */
    struct exp_sum *tiles;   /* out [rows, n_tiles of this rank] */
    struct exp_sum
        *groups;           /* out [n_groups, rows]: ranks' results follow each other when they are gathered */
    float *left_out_logit; /* out [rows]; -INFINITY where another rank holds it, or there is none */
};

/*
 * What becomes of each row, from the sums of all ranks. With M the largest max, S the sum of exp(l - M)
 * without the left-out token and e that token's own:
 *   bound[i] >= 0 (a step with jumps; left out is the current token): p_x = e/(S+e),
 *     P(jump) = 1 - exp(-bound[i] (1 - p_x)), jump iff u_jump[i] < P(jump); bound is h·α (docs/solvers.md).
 * bound[i] < 0 (last step; left out is a mask token that may not be drawn, or nothing): the row is
 * always drawn. Either way a token is drawn from S alone: the group in which the running sum over columns
 * passes u_draw[i] · S, and what is left of that target within the group, in units of exp(group max).
 */
struct row_choice {
    int32_t group;    /* of all ranks, in order; -1: the row keeps its token */
    float max;        /* M */
    double target;    /* within the group: Σ exp(l - max_group) up to the drawn token passes this */
    double log_total; /* log p(token) = logit - log_total: M + ln(S + e), in the last step M + ln S */
};
struct head_choose {
    int rows;
    int n_groups;                 /* of all ranks */
    const struct exp_sum *groups; /* [n_groups, rows] */
    int n_ranks;
    const float *left_out_logit;   /* [n_ranks, rows]: the largest over the ranks is the holder's */
    const double *bound;           /* [rows] */
    const double *u_jump, *u_draw; /* [rows], in [0, 1) */
    struct row_choice *choice;     /* out [rows] */
    double *jump_probability;      /* out [rows]; 1 in the last step */
};

/* Draws the rows whose group this rank holds: walks the kept tiles, recomputes the one in which the target
 * falls (bit for bit what head_scan saw), and walks its columns. */
struct drawn_token {
    int32_t token; /* -1: kept, or another rank's */
    float logit;   /* l, after temperature */
};
struct head_draw {
    struct head_scan scan;           /* as it was called */
    int first_group;                 /* this rank's first, of all */
    const struct row_choice *choice; /* [rows] */
    struct drawn_token *drawn;       /* out [rows] */
};

/*
 * A stretch of operations that is the same in many steps. A GPU records it the first time as a graph and
 * afterwards plays the graph: two stretches with equal keys must make the same calls with the same arguments
 * (what the memory holds may differ). Callers zero the struct first; it is compared as bytes.
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
    bool on_host; /* device memory is ordinary memory, and an operation is done when its call returns */

    /* Opens the device and its scratch arena. */
    enum status (*open)(struct device **device, const struct device_options *options, struct error *error);
    void (*close)(struct device *device); /* NULL is allowed */
    /* One line for people: "cpu avx512, 2 threads". Valid while the device is open. */
    const char *(*describe)(const struct device *device);
    enum dtype (*activation_type)(const struct device *device);
    /* The GPU's own memory; on the CPU what the machine has. */
    struct device_memory (*memory)(const struct device *device);
    enum status (*synchronize)(struct device *device, struct error *error);
    /* Remembers this point as `slot` < DEVICE_MARKS; waits for all that was enqueued before it. */
    void (*mark)(struct device *device, int slot);
    enum status (*wait)(struct device *device, int slot, struct error *error);

    /* Start-up only. Zeroed, aligned to 64 bytes; NULL when there is not enough memory. */
    void *(*allocate)(struct device *device, size_t size_bytes);
    void (*release)(struct device *device, void *memory); /* NULL is allowed */

    /* Host memory that the device reads and writes while the host goes on. Start-up only; zeroed; NULL: none
     * is left. */
    void *(*host_allocate)(struct device *device, size_t size_bytes);
    void (*host_release)(struct device *device, void *memory); /* NULL is allowed */

    /* Between host and device; enqueued. Memory of `host_allocate` must keep what it holds until the copy is
     * done (mark, wait); other memory of `upload` may be used again when it returns, and what is downloaded
     * there is there after `synchronize`. */
    void (*upload)(struct device *device, void *to, const void *from, size_t size_bytes);
    void (*download)(struct device *device, void *to, const void *from, size_t size_bytes);

    /*
     * Brings w[n_out, n_in] into the backend's layout; n_parts views are stacked along n_out. Converts to the
     * backend's precision. n_leaves and leaf_start[n_leaves + 1] (0 ... n_in; parts may be empty) say where
     * the sum over n_in is cut; the leaves' sums are added as a balanced tree, ((0+1)+(2+3))+... . n_leaves
     * is a power of two; NULL and 1: one uncut sum. A GPU sums uncut whatever the leaves: bits may differ
     * between numbers of ranks. Start-up only.
     */
    enum status (*weight_create)(struct device *device, enum weight_use use, const struct matrix_view *parts,
                                 int n_parts, const int32_t *leaf_start, int n_leaves, struct weight **weight,
                                 struct error *error);
    void (*weight_free)(struct device *device, struct weight *weight);
    /* What weight_create takes of the device's memory for w[n_out, n_in]. */
    size_t (*weight_bytes)(const struct device *device, enum weight_use use, int n_out, int n_in);

    /* x[i, :] = table[ids[i] - first, :], or zeros where ids[i] is outside [first, first + n_rows of the
     * table). table: [n, width] device memory, as float32. */
    void (*embed)(struct device *device, const float *table, int32_t first, int32_t n, int width,
                  const int32_t *ids, int rows, float *x);
    /* y[i, :] = x[index[i], :], rows of row_bytes (a multiple of 4) */
    void (*gather_rows)(struct device *device, const void *x, size_t row_bytes, const int32_t *index,
                        int rows, void *y);
    /* y[i] = index[i] >= 0 ? ids[index[i]] : other[i]. y may be neither. */
    void (*select_ids)(struct device *device, const int32_t *ids, const int32_t *index, const int32_t *other,
                       int n, int32_t *y);
    /* ids[row[i]] = the token that one of the ranks has drawn for row i, if one has. drawn: [n_ranks, rows]
     */
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

    /* true: make the calls of this stretch now, then call segment_end. false: it is being played; make none
     * of them and do not call segment_end. */
    bool (*segment_begin)(struct device *device, const struct segment_key *key);
    void (*segment_end)(struct device *device);
};

/* The backend called `name` ("cpu", "cuda"), or for "auto" the best that this machine can run, the CPU last.
 * STATUS_NOT_FOUND for an unknown name, STATUS_UNAVAILABLE (with the reason) for one that cannot run here. */
enum status backend_find(const char *name, const struct backend **backend, struct error *error);

extern const struct backend backend_cpu;

#endif
