#ifndef MILLRACE_COMMON_MODEL_NETWORK_H
#define MILLRACE_COMMON_MODEL_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/model/config.h"

/*
 * A network is a row of a table: its tensors, what it is told of the time, what its logits mean, and which
 * solvers can use them. Everything that loads, checks, converts, makes, counts or runs a network reads this
 * table. So a new network is a new row, and code only for arithmetic that no row had before.
 *
 * FS-DFM and its teacher: arXiv 2509.20624. The others are published models that share its block: MDLM (arXiv
 * 2406.07524), SEDD (2310.16834), Duo (2506.10892), UDLM (2412.10193), GIDD (2503.04482), BD3-LM
 * (2503.09573).
 */

/* What a tensor is to the forward pass. A network has at most one of each role, and one for each block. */
enum tensor_role {
    ROLE_EMBEDDING,
    ROLE_TIME_IN, /* the MLP that embeds the time */
    ROLE_TIME_IN_BIAS,
    ROLE_TIME_OUT,
    ROLE_TIME_OUT_BIAS,
    ROLE_STEP_IN, /* the MLP that embeds the step size */
    ROLE_STEP_IN_BIAS,
    ROLE_STEP_OUT,
    ROLE_STEP_OUT_BIAS,
    ROLE_CONDITION, /* fuses time and step size */
    ROLE_CONDITION_BIAS,
    ROLE_CLASSES,         /* a row for each class, the last for "no class" */
    ROLE_ROTARY,          /* inverse frequencies: a buffer that may be absent */
    ROLE_NORM1,           /* from here on: of a block */
    ROLE_QUERY_KEY_VALUE, /* all three, stacked; or else the three that follow */
    ROLE_QUERY,
    ROLE_KEY,
    ROLE_VALUE,
    ROLE_ATTENTION_OUT,
    ROLE_NORM2,
    ROLE_UP,
    ROLE_UP_BIAS,
    ROLE_DOWN,
    ROLE_DOWN_BIAS,
    ROLE_BLOCK_CONDITION,
    ROLE_BLOCK_CONDITION_BIAS,
    ROLE_MODULATION,
    ROLE_MODULATION_BIAS,
    ROLE_FINAL_NORM, /* from here on: of the output layer */
    ROLE_HEAD,
    ROLE_HEAD_BIAS,
    ROLE_OUT_CONDITION,
    ROLE_OUT_CONDITION_BIAS,
    ROLE_OUT_MODULATION,
    ROLE_OUT_MODULATION_BIAS,
};

enum tensor_use {
    TENSOR_EMBEDDING, /* [V', D] */
    TENSOR_LINEAR,    /* [out, in] */
    TENSOR_BIAS,      /* [out] */
    TENSOR_NORM,      /* [D] */
    TENSOR_ADALN,     /* [6D or 2D, C]: a linear layer that produces modulations */
    TENSOR_ROTARY,    /* [Dh/2]: a buffer, not a parameter; may be absent */
};

/* How tensor-parallel ranks share it. */
enum tensor_sharding {
    SHARDED_NOT,        /* every rank has all of it */
    SHARDED_OUTPUT,     /* rows: a rank's heads or MLP columns */
    SHARDED_THRICE,     /* rows: a rank's heads in each of three stacked parts */
    SHARDED_INPUT,      /* columns, followed by an all-reduce */
    SHARDED_VOCABULARY, /* rows: a rank's part of the vocabulary */
};

/* The dimensions by their symbols: V rows of the embedding, D the hidden width, F the MLP's width, C the
 * width of the conditioning. */
enum extent {
    EXTENT_NONE,
    EXTENT_V,
    EXTENT_D,
    EXTENT_2D,
    EXTENT_3D,
    EXTENT_6D,
    EXTENT_F,
    EXTENT_C,
    EXTENT_2C,
    EXTENT_SINUSOID,
    EXTENT_HALF_HEAD,
    EXTENT_CLASSES, /* the classes and "no class" */
};

/* Which models of a network have the tensor. */
enum presence { ALWAYS, WITH_CLASSES, WITH_MODULATION };

struct network_tensor {
    enum tensor_role role;
    const char *name; /* within its block */
    enum extent rows, columns;
    enum tensor_use use;
    enum tensor_sharding sharding;
    enum presence presence;
};

/* What the network is told of the time of a step. Millrace counts time from 0, noise, to 1, text. */
enum time_input {
    TIME_NONE,          /* 0, always */
    TIME_FLOW,          /* t */
    TIME_FLOW_AND_STEP, /* t, and the size of the step */
    TIME_SIGMA,         /* -ln α: how much noise has been added */
    TIME_NOISE,         /* 1 - t: how far from text */
};

/* How a text turns into noise: α, the share of text that is left at time t, and where the rest goes. */
enum noise {
    NOISE_POLYNOMIAL, /* α = κ(t) = t^exponent; the rest is the source's */
    NOISE_LOG_LINEAR, /* α = 1 - 0.999 (1 - t) */
    NOISE_LINEAR,     /* α = t */
    NOISE_MIXED,      /* GIDD's: mask and uniform noise together (worker/model/noise.h) */
};

/* What the logits say. */
enum output_rule {
    OUTPUT_FLOW,         /* FS-DFM: p = softmax; its samplers leave tokens out where they must */
    OUTPUT_DISTRIBUTION, /* p = softmax over all ids */
    OUTPUT_UNMASKED,     /* p = softmax over all ids but the mask; a token that is no mask is certain */
    OUTPUT_NO_MASK,      /* p = softmax over all ids but the mask */
    OUTPUT_SCORE,        /* ratios to the present token (concrete score) */
};

/* What texts of the network start from. */
enum sources { SOURCES_BOTH, SOURCES_UNIFORM, SOURCES_MASK };

struct network_part {
    const struct network_tensor *tensors;
    int n;
};

struct network {
    const char *name;    /* of the architecture, as in config.json */
    const char *summary; /* for people */
    struct network_part before, block, after;
    const char *const *prefixes; /* that publishers put before the names; NULL ends them */
    const char *const *buffers;  /* no weights: skipped; NULL ends them */
    enum sources sources;
    enum time_input time;
    enum noise noise;
    enum output_rule output;
    unsigned solvers;           /* 1 << solver for each that it can use */
    enum solver default_solver; /* of a model whose config names none */
};

const struct network *network_of(enum architecture architecture);
/* Its name: "fs-dfm". */
const char *architecture_name(enum architecture architecture);

/* Whether the network can use the solver. */
bool network_has_solver(const struct network *network, enum solver solver);

/* The fewest steps that a text of so many positions can be refined in. BD3-LM writes one block after another.
 */
int network_fewest_steps(const struct model_config *config, enum solver solver, int length);

/* Whether the temperature may be another than 1: scores have none. */
bool network_has_temperature(const struct network *network);

/* "ancestral, greedy or none": the names of its solvers; returns `text`. */
const char *network_solvers(const struct network *network, char *text, size_t room);

/* "log-linear"; of config.json's "scheduler". */
const char *noise_name(enum noise noise);

#endif
