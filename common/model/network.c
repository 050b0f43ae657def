#include "common/model/network.h"

#include <stdio.h>
#include <string.h>

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))
#define PART(array)          \
    {                        \
        array, LENGTH(array) \
    }

/* What all networks here share. */
#define TIME_MLP(name_)                                                                           \
    {ROLE_TIME_IN,  name_ ".mlp.0.weight", EXTENT_C,       EXTENT_SINUSOID,                       \
     TENSOR_LINEAR, SHARDED_NOT,           WITH_MODULATION},                                      \
        {ROLE_TIME_IN_BIAS, name_ ".mlp.0.bias", EXTENT_C,       EXTENT_NONE,                     \
         TENSOR_BIAS,       SHARDED_NOT,         WITH_MODULATION},                                \
        {ROLE_TIME_OUT, name_ ".mlp.2.weight", EXTENT_C,       EXTENT_C,                          \
         TENSOR_LINEAR, SHARDED_NOT,           WITH_MODULATION},                                  \
    {                                                                                             \
        ROLE_TIME_OUT_BIAS, name_ ".mlp.2.bias", EXTENT_C, EXTENT_NONE, TENSOR_BIAS, SHARDED_NOT, \
            WITH_MODULATION                                                                       \
    }
#define NORM(role_, name_)                                                    \
    {                                                                         \
        role_, name_, EXTENT_D, EXTENT_NONE, TENSOR_NORM, SHARDED_NOT, ALWAYS \
    }
#define SQUARE(role_, name_, sharding_)                                    \
    {                                                                      \
        role_, name_, EXTENT_D, EXTENT_D, TENSOR_LINEAR, sharding_, ALWAYS \
    }
#define MLP                                                                                       \
    {ROLE_UP, "mlp.0.weight", EXTENT_F, EXTENT_D, TENSOR_LINEAR, SHARDED_OUTPUT, ALWAYS},         \
        {ROLE_UP_BIAS, "mlp.0.bias", EXTENT_F, EXTENT_NONE, TENSOR_BIAS, SHARDED_OUTPUT, ALWAYS}, \
        {ROLE_DOWN, "mlp.2.weight", EXTENT_D, EXTENT_F, TENSOR_LINEAR, SHARDED_INPUT, ALWAYS},    \
    {                                                                                             \
        ROLE_DOWN_BIAS, "mlp.2.bias", EXTENT_D, EXTENT_NONE, TENSOR_BIAS, SHARDED_NOT, ALWAYS     \
    }
#define MODULATION(role_, prefix_, extent_)                                                              \
    {                                                                                                    \
        role_,          prefix_ "adaLN_modulation.weight", extent_, EXTENT_C, TENSOR_ADALN, SHARDED_NOT, \
        WITH_MODULATION},                                                                                \
    {                                                                                                    \
        role_##_BIAS, prefix_ "adaLN_modulation.bias", extent_, EXTENT_NONE, TENSOR_BIAS, SHARDED_NOT,   \
            WITH_MODULATION                                                                              \
    }
#define HEAD                                                                                                \
    {                                                                                                       \
        ROLE_HEAD,     "output_layer.linear.weight", EXTENT_V, EXTENT_D,                                    \
        TENSOR_LINEAR, SHARDED_VOCABULARY,           ALWAYS},                                               \
    {                                                                                                       \
        ROLE_HEAD_BIAS, "output_layer.linear.bias", EXTENT_V, EXTENT_NONE, TENSOR_BIAS, SHARDED_VOCABULARY, \
            ALWAYS                                                                                          \
    }
#define FUSER(role_, name_, extent_)                                                        \
    {role_, name_ ".weight", extent_, EXTENT_2C, TENSOR_LINEAR, SHARDED_NOT, ALWAYS},       \
    {                                                                                       \
        role_##_BIAS, name_ ".bias", extent_, EXTENT_NONE, TENSOR_BIAS, SHARDED_NOT, ALWAYS \
    }
#define ROTARY                                                                                         \
    {                                                                                                  \
        ROLE_ROTARY, "rotary_emb.inv_freq", EXTENT_HALF_HEAD, EXTENT_NONE, TENSOR_ROTARY, SHARDED_NOT, \
            ALWAYS                                                                                     \
    }
#define EMBEDDING(name_)                                                                        \
    {                                                                                           \
        ROLE_EMBEDDING, name_, EXTENT_V, EXTENT_D, TENSOR_EMBEDDING, SHARDED_VOCABULARY, ALWAYS \
    }

/* DFM (teacher) and FS-DFM (student). */
#define THREE_PROJECTIONS                                                                           \
    SQUARE(ROLE_QUERY, "qw.weight", SHARDED_OUTPUT), SQUARE(ROLE_KEY, "kw.weight", SHARDED_OUTPUT), \
        SQUARE(ROLE_VALUE, "vw.weight", SHARDED_OUTPUT)

static const struct network_tensor dfm_before[] = {EMBEDDING("vocab_embed.weight"),
                                                   TIME_MLP("time_embedding"), ROTARY};
static const struct network_tensor dfm_block[] = {
    NORM(ROLE_NORM1, "norm1.weight"),
    THREE_PROJECTIONS,
    SQUARE(ROLE_ATTENTION_OUT, "attn_out.weight", SHARDED_INPUT),
    NORM(ROLE_NORM2, "norm2.weight"),
    MLP,
    MODULATION(ROLE_MODULATION, "", EXTENT_6D)};
static const struct network_tensor dfm_after[] = {
    NORM(ROLE_FINAL_NORM, "output_layer.norm_final.weight"), HEAD,
    MODULATION(ROLE_OUT_MODULATION, "output_layer.", EXTENT_2D)};

static const struct network_tensor fs_dfm_before[] = {
    EMBEDDING("vocab_embed.weight"),
    TIME_MLP("time_embedding"),
    {ROLE_STEP_IN, "dt_embedding.mlp.0.weight", EXTENT_C, EXTENT_SINUSOID, TENSOR_LINEAR, SHARDED_NOT,
     ALWAYS},
    {ROLE_STEP_IN_BIAS, "dt_embedding.mlp.0.bias", EXTENT_C, EXTENT_NONE, TENSOR_BIAS, SHARDED_NOT, ALWAYS},
    {ROLE_STEP_OUT, "dt_embedding.mlp.2.weight", EXTENT_C, EXTENT_C, TENSOR_LINEAR, SHARDED_NOT, ALWAYS},
    {ROLE_STEP_OUT_BIAS, "dt_embedding.mlp.2.bias", EXTENT_C, EXTENT_NONE, TENSOR_BIAS, SHARDED_NOT, ALWAYS},
    FUSER(ROLE_CONDITION, "time_condition_fuser", EXTENT_2C),
    ROTARY};
static const struct network_tensor fs_dfm_block[] = {
    NORM(ROLE_NORM1, "norm1.weight"),
    THREE_PROJECTIONS,
    SQUARE(ROLE_ATTENTION_OUT, "attn_out.weight", SHARDED_INPUT),
    NORM(ROLE_NORM2, "norm2.weight"),
    MLP,
    FUSER(ROLE_BLOCK_CONDITION, "condition_fuser", EXTENT_C),
    MODULATION(ROLE_MODULATION, "", EXTENT_6D)};
static const struct network_tensor fs_dfm_after[] = {
    NORM(ROLE_FINAL_NORM, "output_layer.norm_final.weight"), HEAD,
    FUSER(ROLE_OUT_CONDITION, "output_layer.condition_fuser", EXTENT_C),
    MODULATION(ROLE_OUT_MODULATION, "output_layer.", EXTENT_2D)};

/* MDLM, SEDD, Duo, UDLM, GIDD and BD3-LM. */
static const struct network_tensor dit_before[] = {EMBEDDING("vocab_embed.embedding"),
                                                   TIME_MLP("sigma_map"),
                                                   {ROLE_CLASSES, "cond_map.embedding_table.weight",
                                                    EXTENT_CLASSES, EXTENT_C, TENSOR_LINEAR, SHARDED_NOT,
                                                    WITH_CLASSES},
                                                   ROTARY};
static const struct network_tensor dit_block[] = {
    NORM(ROLE_NORM1, "norm1.weight"),
    {ROLE_QUERY_KEY_VALUE, "attn_qkv.weight", EXTENT_3D, EXTENT_D, TENSOR_LINEAR, SHARDED_THRICE, ALWAYS},
    SQUARE(ROLE_ATTENTION_OUT, "attn_out.weight", SHARDED_INPUT),
    NORM(ROLE_NORM2, "norm2.weight"),
    MLP,
    MODULATION(ROLE_MODULATION, "", EXTENT_6D)};

static const char *const no_names[] = {NULL};
static const char *const lightning_prefixes[] = {"backbone.", NULL};
static const char *const dit_buffers[] = {"rotary_emb.cos_cached",
                                          "rotary_emb.sin_cached",
                                          "sampling_eps_min",
                                          "sampling_eps_max",
                                          "logit_bias",
                                          NULL};

#define SOLVER(name) (1u << SOLVER_##name)
enum {
    FLOW_SOLVERS = SOLVER(CUMULATIVE) | SOLVER(MIXTURE_EULER) | SOLVER(DFM_EULER) | SOLVER(STRATIFIED),
    UNIFORM_SOLVERS = FLOW_SOLVERS | SOLVER(ANCESTRAL) | SOLVER(GREEDY),
};

/* A published network whose layout is DiT's. */
#define DIT(prefixes_) PART(dit_before), PART(dit_block), PART(dfm_after), prefixes_, dit_buffers

static const struct network networks[ARCHITECTURE_COUNT] = {
    [ARCHITECTURE_DFM] = {"dfm", "a plain discrete flow, told the time", PART(dfm_before), PART(dfm_block),
                          PART(dfm_after), no_names, no_names, SOURCES_BOTH, TIME_FLOW, NOISE_POLYNOMIAL,
                          OUTPUT_FLOW, FLOW_SOLVERS, SOLVER_CUMULATIVE},
    [ARCHITECTURE_FS_DFM] = {"fs-dfm", "the few-step student, told the time and the step size",
                             PART(fs_dfm_before), PART(fs_dfm_block), PART(fs_dfm_after), no_names, no_names,
                             SOURCES_BOTH, TIME_FLOW_AND_STEP, NOISE_POLYNOMIAL, OUTPUT_FLOW, FLOW_SOLVERS,
                             SOLVER_CUMULATIVE},
    [ARCHITECTURE_MDLM] = {"mdlm", "masked diffusion (MDLM)", DIT(lightning_prefixes), SOURCES_MASK,
                           TIME_SIGMA, NOISE_LOG_LINEAR, OUTPUT_UNMASKED,
                           SOLVER(ANCESTRAL) | SOLVER(ANALYTIC) | SOLVER(REMASKING), SOLVER_ANCESTRAL},
    [ARCHITECTURE_SEDD] = {"sedd", "ratios of a masked diffusion (SEDD)", DIT(no_names), SOURCES_MASK,
                           TIME_SIGMA, NOISE_LOG_LINEAR, OUTPUT_SCORE, SOLVER(ANALYTIC) | SOLVER(SCORE_EULER),
                           SOLVER_ANALYTIC},
    [ARCHITECTURE_DUO] = {"duo",
                          "uniform diffusion (Duo, and IDLM and Duo-distilled, which have its network)",
                          DIT(lightning_prefixes), SOURCES_UNIFORM, TIME_SIGMA, NOISE_LOG_LINEAR,
                          OUTPUT_DISTRIBUTION, UNIFORM_SOLVERS, SOLVER_ANCESTRAL},
    [ARCHITECTURE_UDLM] = {"udlm", "uniform diffusion, with classes (UDLM)", DIT(lightning_prefixes),
                           SOURCES_UNIFORM, TIME_SIGMA, NOISE_LOG_LINEAR, OUTPUT_DISTRIBUTION,
                           UNIFORM_SOLVERS, SOLVER_ANCESTRAL},
    [ARCHITECTURE_GIDD] = {"gidd", "diffusion of masks and uniform noise together (GIDD)", DIT(no_names),
                           SOURCES_MASK, TIME_NOISE, NOISE_MIXED, OUTPUT_NO_MASK, SOLVER(ANCESTRAL),
                           SOLVER_ANCESTRAL},
    [ARCHITECTURE_BD3LM] = {"bd3lm", "masked diffusion, block after block of the text (BD3-LM)",
                            DIT(lightning_prefixes), SOURCES_MASK, TIME_NONE, NOISE_LINEAR, OUTPUT_UNMASKED,
                            SOLVER(ANCESTRAL) | SOLVER(FIRST_HITTING), SOLVER_ANCESTRAL},
};

const struct network *network_of(enum architecture architecture)
{
    return &networks[architecture];
}

const char *architecture_name(enum architecture architecture)
{
    return network_of(architecture)->name;
}

bool network_has_solver(const struct network *network, enum solver solver)
{
    return (unsigned)solver < SOLVER_COUNT && (network->solvers >> solver & 1u);
}

int network_fewest_steps(const struct model_config *config, enum solver solver, int length)
{
    if (solver == SOLVER_FIRST_HITTING)
        return length;
    return config->block_size ? (length + config->block_size - 1) / config->block_size : 1;
}

bool network_has_temperature(const struct network *network)
{
    return network->output != OUTPUT_SCORE;
}

const char *network_solvers(const struct network *network, char *text, size_t room)
{
    size_t used = 0;
    int left = 0;
    for (int i = 0; i < SOLVER_COUNT; i++)
        left += network_has_solver(network, (enum solver)i);
    text[0] = '\0';
    for (int i = 0; i < SOLVER_COUNT && used < room; i++) {
        if (!network_has_solver(network, (enum solver)i))
            continue;
        const char *before = used == 0 ? "" : left == 1 ? " or " : ", ";
        used += (size_t)snprintf(text + used, room - used, "%s%s", before, solver_name((enum solver)i));
        left--;
    }
    return text;
}

const char *noise_name(enum noise noise)
{
    static const char *const names[] = {[NOISE_POLYNOMIAL] = "polynomial",
                                        [NOISE_LOG_LINEAR] = "log-linear",
                                        [NOISE_LINEAR] = "linear",
                                        [NOISE_MIXED] = "mixed"};
    return names[noise];
}
