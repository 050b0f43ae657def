#include "common/model/published.h"

#include <stdio.h>
#include <string.h>

#include "common/model/network.h"

enum how {
    WHOLE,    /* a whole number, kept */
    REAL,     /* a number, kept */
    OPPOSITE, /* a truth value; the field says the opposite */
    TRUTH,    /* a truth value, kept */
    REFUSED,  /* a truth value that must be false: true is another network */
    IGNORED,  /* of training, or of other programs */
};

struct key {
    const char *name;
    enum how how;
    size_t offset;      /* of the field in struct reading */
    const char *reason; /* REFUSED: why */
};

/* What the keys of one file say, before it is made a config. */
struct reading {
    struct model_config config;
    int n_rows, length; /* of the vocabulary, with all special tokens; of the longest text */
    bool has_classes;
};

#define FIELD(name) offsetof(struct reading, config.name)
#define SHAPE(width_key, blocks_key, heads_key, condition_key)                           \
    {width_key, WHOLE, FIELD(hidden), NULL}, {blocks_key, WHOLE, FIELD(n_blocks), NULL}, \
        {heads_key, WHOLE, FIELD(n_heads), NULL},                                        \
    {                                                                                    \
        condition_key, WHOLE, FIELD(condition), NULL                                     \
    }
#define VOCABULARY                                                  \
    {                                                               \
        "vocab_size", WHOLE, offsetof(struct reading, n_rows), NULL \
    }
#define LENGTH_OF(name)                                     \
    {                                                       \
        name, WHOLE, offsetof(struct reading, length), NULL \
    }
#define TIME_CONDITIONING                                       \
    {                                                           \
        "time_conditioning", OPPOSITE, FIELD(is_timeless), NULL \
    }
#define CAUSAL                                                  \
    {                                                           \
        "causal", REFUSED, 0, "a causal network is another one" \
    }
#define IGNORE(name)           \
    {                          \
        name, IGNORED, 0, NULL \
    }
#define TIED                                                                         \
    {                                                                                \
        "tie_word_embeddings", REFUSED, 0, "these networks have a head of their own" \
    }

static const struct key mdlm_keys[] = {SHAPE("hidden_dim", "n_blocks", "n_heads", "cond_dim"),
                                       VOCABULARY,
                                       LENGTH_OF("model_length"),
                                       TIME_CONDITIONING,
                                       TIED,
                                       {NULL}};
static const struct key duo_keys[] = {SHAPE("hidden_dim", "n_blocks", "n_heads", "cond_dim"),
                                      VOCABULARY,
                                      LENGTH_OF("model_length"),
                                      CAUSAL,
                                      IGNORE("var_min"),
                                      TIED,
                                      {NULL}};
static const struct key udlm_keys[] = {SHAPE("hidden_dim", "n_blocks", "n_heads", "cond_dim"),
                                       VOCABULARY,
                                       LENGTH_OF("model_length"),
                                       TIME_CONDITIONING,
                                       {"cfg", TRUTH, offsetof(struct reading, has_classes), NULL},
                                       {"cfg_num_classes", WHOLE, FIELD(n_classes), NULL},
                                       TIED,
                                       {NULL}};
/* The training configuration of BD3-LM says tie_word_embeddings: true, and its network has a head all the
 * same. */
static const struct key bd3lm_keys[] = {
    SHAPE("hidden_dim", "n_blocks", "n_heads", "cond_dim"),
    VOCABULARY,
    LENGTH_OF("model_length"),
    {"time_conditioning", REFUSED, 0, "a BD3-LM that is told the time is not known"},
    {"adaln", OPPOSITE, FIELD(is_unmodulated), NULL},
    {"block_size", WHOLE, FIELD(block_size), NULL},
    CAUSAL,
    IGNORE("cross_attn"),
    IGNORE("attn_backend"),
    IGNORE("var_min"),
    IGNORE("sampling_eps_min"),
    IGNORE("sampling_eps_max"),
    IGNORE("tie_word_embeddings"),
    {NULL}};
static const struct key gidd_keys[] = {
    SHAPE("hidden_size", "num_hidden_layers", "num_attention_heads", "timestep_cond_dim"),
    VOCABULARY,
    LENGTH_OF("max_seq_len"),
    {"p_uniform", REAL, FIELD(p_uniform), NULL},
    {"t_eps", REAL, FIELD(t_eps), NULL},
    TIED,
    {NULL}};

/* What the library around the published networks writes into every config.json. */
static const char *const of_library[] = {"architectures",
                                         "auto_map",
                                         "model_type",
                                         "torch_dtype",
                                         "dtype",
                                         "transformers_version",
                                         "return_dict",
                                         "dropout",
                                         "attention_dropout",
                                         "_name_or_path",
                                         "bos_token_id",
                                         "eos_token_id",
                                         "pad_token_id",
                                         "unk_token_id",
                                         "mask_token_id",
                                         "id2label",
                                         "label2id",
                                         "tokenizer_class",
                                         NULL};

/* SEDD publishes the whole configuration of its training. */
static const struct key sedd_keys[] = {{"tokens", WHOLE, offsetof(struct reading, n_rows), NULL},
                                       IGNORE("data"),
                                       IGNORE("eval"),
                                       IGNORE("graph"),
                                       IGNORE("model"),
                                       IGNORE("ngpus"),
                                       IGNORE("noise"),
                                       IGNORE("optim"),
                                       IGNORE("sampling"),
                                       IGNORE("training"),
                                       IGNORE("work_dir"),
                                       IGNORE("wandb"),
                                       IGNORE("hydra"),
                                       {NULL}};
static const struct key sedd_model_keys[] = {SHAPE("hidden_size", "n_blocks", "n_heads", "cond_dim"),
                                             LENGTH_OF("length"),
                                             {"scale_by_sigma", OPPOSITE, FIELD(is_unscaled), NULL},
                                             IGNORE("name"),
                                             IGNORE("type"),
                                             IGNORE("dropout"),
                                             {NULL}};

static const struct family {
    const char *model_type, *also; /* as the file says it; SEDD's says nothing */
    enum architecture architecture;
    const struct key *keys;
} families[] = {{"mdlm", "MDLM", ARCHITECTURE_MDLM, mdlm_keys},
                {"duo", "DUO", ARCHITECTURE_DUO, duo_keys},
                {"udlm", "UDLM", ARCHITECTURE_UDLM, udlm_keys},
                {"bd3lm", "BD3LM", ARCHITECTURE_BD3LM, bd3lm_keys},
                {"dit", "gidd", ARCHITECTURE_GIDD, gidd_keys}};
enum { N_FAMILIES = sizeof families / sizeof *families };

static bool is_sedd(const json_t *object)
{
    return json_is_object(json_object_get(object, "graph")) &&
           json_is_object(json_object_get(object, "model")) && json_object_get(object, "tokens");
}

bool published_is(const json_t *object)
{
    return !json_object_get(object, "format") &&
           (json_is_string(json_object_get(object, "model_type")) || is_sedd(object));
}

static bool has_type(const json_t *value, enum how how)
{
    return how == WHOLE  ? json_is_integer(value)
           : how == REAL ? json_is_number(value)
                         : json_is_boolean(value);
}

static enum status keep(const struct key *key, const json_t *value, struct reading *reading,
                        struct error *error)
{
    static const char *const types[] = {[WHOLE] = "a whole number",
                                        [REAL] = "a number",
                                        [OPPOSITE] = "true or false",
                                        [TRUTH] = "true or false",
                                        [REFUSED] = "true or false"};
    void *field = (char *)reading + key->offset;
    if (!value)
        return error_set(error, STATUS_INVALID_ARGUMENT, "key \"%s\" is missing; it must be %s", key->name,
                         types[key->how]);
    if (!has_type(value, key->how))
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"%s\" must be %s", key->name, types[key->how]);
    if (key->how == WHOLE) {
        const json_int_t whole = json_integer_value(value);
        if (whole < -1 || whole > 1 << 24)
            return error_set(error, STATUS_INVALID_ARGUMENT, "\"%s\" is %lld; it must be at most %d",
                             key->name, (long long)whole, 1 << 24);
        *(int *)field = (int)whole;
    } else if (key->how == REAL) {
        *(double *)field = json_number_value(value);
    } else if (key->how != REFUSED) {
        *(bool *)field = json_is_true(value) == (key->how == TRUTH);
    } else if (json_is_true(value)) {
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"%s\" is true: %s", key->name, key->reason);
    }
    return STATUS_OK;
}

static const struct key *find_key(const struct key *keys, const char *name)
{
    for (; keys->name; keys++)
        if (strcmp(keys->name, name) == 0)
            return keys;
    return NULL;
}

static bool is_in(const char *const *names, const char *name)
{
    while (names && *names && strcmp(*names, name) != 0)
        names++;
    return names && *names;
}

/* Reads an object by its table. `also` are names that are ignored, too; NULL: none. */
static enum status read_keys(json_t *object, const struct key *keys, const char *const *also,
                             struct reading *reading, struct error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (!find_key(keys, name) && !is_in(also, name))
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "key \"%.64s\" is unknown; it might change what the network computes", name);
    }
    for (const struct key *key = keys; key->name; key++) {
        const json_t *found = json_object_get(object, key->name);
        const bool may_be_absent = key->how == REFUSED || key->how == IGNORED;
        if (key->how == IGNORED || (!found && may_be_absent))
            continue;
        enum status status = keep(key, found, reading, error);
        if (status)
            return status;
    }
    return STATUS_OK;
}

/* A key of an object that must have one value. */
static enum status must_be(const json_t *object, const char *section, const char *key, const char *wanted,
                           struct error *error)
{
    const char *found = json_string_value(json_object_get(json_object_get(object, section), key));
    if (found && strcmp(found, wanted) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "\"%s\": \"%s\" is \"%.64s\"; only \"%s\" is known",
                     section, key, found ? found : "missing", wanted);
}

static enum status read_sedd(json_t *object, struct reading *reading, struct error *error)
{
    reading->config.architecture = ARCHITECTURE_SEDD;
    enum status status = must_be(object, "graph", "type", "absorb", error);
    if (!status)
        status = must_be(object, "noise", "type", "loglinear", error);
    if (!status && json_object_get(json_object_get(object, "model"), "type"))
        status = must_be(object, "model", "type", "ddit", error);
    if (!status)
        status = read_keys(object, sedd_keys, NULL, reading, error);
    if (!status) {
        status = read_keys(json_object_get(object, "model"), sedd_model_keys, NULL, reading, error);
        if (status)
            error_prefix(error, "\"model\"");
    }
    reading->n_rows++; /* the mask comes after the tokens */
    return status;
}

static enum status read_family(json_t *object, struct reading *reading, struct error *error)
{
    const char *type = json_string_value(json_object_get(object, "model_type"));
    for (int i = 0; i < N_FAMILIES; i++) {
        if (strcmp(type, families[i].model_type) != 0 && strcmp(type, families[i].also) != 0)
            continue;
        reading->config.architecture = families[i].architecture;
        return read_keys(object, families[i].keys, of_library, reading, error);
    }
    return error_set(
        error, STATUS_INVALID_ARGUMENT,
        "\"model_type\" is \"%.64s\", which is none that can be served; `millrace models` lists those", type);
}

enum { STEPS = 64, STEPS_MAX = 8192 };

static void fill_in(const struct reading *reading, struct model_config *config)
{
    *config = reading->config;
    const struct network *network = network_of(config->architecture);
    const bool is_mask = network->sources == SOURCES_MASK;
    config->source = is_mask ? SOURCE_MASK : SOURCE_UNIFORM;
    config->vocabulary = reading->n_rows - is_mask;
    config->n_classes = reading->has_classes ? config->n_classes : 0;
    config->scheduler_exponent = 1;
    config->trained_length = config->max_length = reading->length;
    config->default_steps = config->block_size ? reading->length : STEPS;
    config->max_steps = STEPS_MAX;
    config->default_solver = network->default_solver;
    snprintf(config->name, sizeof config->name, "%s", network->name);
}

enum status published_read(json_t *object, struct model_config *config, struct error *error)
{
    struct reading reading = {0};
    enum status status =
        is_sedd(object) ? read_sedd(object, &reading, error) : read_family(object, &reading, error);
    if (status)
        return status;
    fill_in(&reading, config);
    return STATUS_OK;
}
