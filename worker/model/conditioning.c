#include "worker/model/conditioning.h"

#include <math.h>
#include <stdlib.h>

#include "worker/model/moves.h"

enum { SINUSOID_HALF = SINUSOID_WIDTH / 2 };

static void *allocate(struct conditioning *conditioning, size_t n_floats)
{
    const struct model_weights *weights = conditioning->weights;
    return weights->backend->allocate(weights->device, n_floats * sizeof(float));
}

enum status conditioning_init(struct conditioning *conditioning, const struct model_weights *weights,
                              int n_entries, int at_once, struct error *error)
{
    size_t condition = (size_t)weights->config.condition;
    size_t rows = (size_t)at_once;
    *conditioning =
        (struct conditioning){.weights = weights, .n_entries = n_entries, .at_once = at_once, .clock = 1};
    conditioning->width = conditioning_output_offset(conditioning) + 2 * (int64_t)weights->config.hidden;
    conditioning->keys = calloc((size_t)n_entries, sizeof *conditioning->keys);
    conditioning->table = allocate(conditioning, (size_t)n_entries * (size_t)conditioning->width);
    conditioning->features = allocate(conditioning, rows * SINUSOID_WIDTH);
    conditioning->host_features = calloc(rows * SINUSOID_WIDTH, sizeof(float));
    conditioning->hidden = allocate(conditioning, rows * condition);
    conditioning->joined = allocate(conditioning, rows * 2 * condition);
    conditioning->condition = allocate(conditioning, rows * 2 * condition);
    conditioning->block_condition = allocate(conditioning, rows * condition);
    if (conditioning->keys && conditioning->table && conditioning->features && conditioning->hidden &&
        conditioning->joined && conditioning->condition && conditioning->block_condition &&
        conditioning->host_features)
        return STATUS_OK;
    conditioning_release(conditioning);
    return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                     "no memory for the modulation vectors of %d step times; use a smaller --max-sequences",
                     n_entries);
}

void conditioning_release(struct conditioning *conditioning)
{
    if (!conditioning->weights)
        return;
    float *const owned[] = {conditioning->table,  conditioning->features,  conditioning->hidden,
                            conditioning->joined, conditioning->condition, conditioning->block_condition};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        conditioning->weights->backend->release(conditioning->weights->device, owned[i]);
    free(conditioning->host_features);
    free(conditioning->keys);
    *conditioning = (struct conditioning){0};
}

int64_t conditioning_block_offset(const struct conditioning *conditioning, int block)
{
    return (int64_t)block * 6 * conditioning->weights->config.hidden;
}

int64_t conditioning_output_offset(const struct conditioning *conditioning)
{
    return conditioning_block_offset(conditioning, conditioning->weights->config.n_blocks);
}

static void show(const struct conditioning *conditioning, const char *name, int block, const float *x,
                 int64_t width)
{
    observer_show(conditioning->observer,
                  (struct observation){name, block, x, DTYPE_F32, 1, width, {0, (int)width}});
}

/* A linear layer with its activation: w[n_out, n_in], bias[n_out]. */
struct layer {
    const struct weight *weight;
    const float *bias;
    enum activation activation;
};

/* Dense rows x[n, n_in] that a layer takes in. */
struct layer_input {
    int n;
    const float *x;
    int n_in;
};

/* Rows of y lie ld_y apart. */
static void linear(const struct conditioning *conditioning, struct layer layer, struct layer_input input,
                   float *y, int64_t ld_y)
{
    const struct matmul op = {.x = input.x,
                              .ld_x = input.n_in,
                              .rows = input.n,
                              .weight = layer.weight,
                              .bias = layer.bias,
                              .activation = layer.activation,
                              .y = y,
                              .ld_y = ld_y};
    conditioning->weights->backend->matmul(conditioning->weights->device, &op);
}

/* features = [cos(τ f) ‖ sin(τ f)], f_k = exp(-ln(10000) k / 128); frequencies and angles are float32 in the
 * reference. */
static void sinusoid(float tau, float *features)
{
    for (int k = 0; k < SINUSOID_HALF; k++) {
        float exponent = (float)-log(10000.0) * (float)k / (float)SINUSOID_HALF;
        float angle = tau * (float)exp((double)exponent);
        features[k] = (float)cos((double)angle);
        features[SINUSOID_HALF + k] = (float)sin((double)angle);
    }
}

/* The pairs (t, dt) that are computed together. */
struct pairs {
    int n;
    const struct conditioning_key *keys;
};

/* One of the two embeddings of a pair, and what its parts are called in a trace. */
struct embedding {
    const struct time_mlp *mlp;
    bool of_step_size; /* of dt, not of t */
    enum activation activation;
    const char *features_name, *name;
};

static void embed_pairs(const struct conditioning *conditioning, const struct embedding *embedding,
                        struct pairs pairs, float *out, int64_t ld_out)
{
    const struct model_weights *weights = conditioning->weights;
    const struct time_mlp *mlp = embedding->mlp;
    int width = weights->config.condition;
    for (int i = 0; i < pairs.n; i++)
        sinusoid(embedding->of_step_size ? pairs.keys[i].dt : pairs.keys[i].t,
                 conditioning->host_features + i * SINUSOID_WIDTH);
    weights->backend->upload(weights->device, conditioning->features, conditioning->host_features,
                             (size_t)pairs.n * SINUSOID_WIDTH * sizeof(float));
    show(conditioning, embedding->features_name, -1, conditioning->features, SINUSOID_WIDTH);
    linear(conditioning, (struct layer){mlp->first, mlp->first_bias, ACTIVATION_SILU},
           (struct layer_input){pairs.n, conditioning->features, SINUSOID_WIDTH}, conditioning->hidden,
           width);
    linear(conditioning, (struct layer){mlp->second, mlp->second_bias, embedding->activation},
           (struct layer_input){pairs.n, conditioning->hidden, width}, out, ld_out);
    show(conditioning, embedding->name, -1, out, width);
}

/* One layer of the model: what makes its vectors, and where they go. */
struct modulated_layer {
    int block;          /* -1: the output layer */
    struct layer fuser; /* weight NULL in a teacher */
    struct layer modulation;
    float *out; /* the first pair's vectors; the table's rows lie apart */
    int64_t n_out;
};

/* modulation(SiLU(fuser(c))) in a student, modulation(c) in a teacher, of n pairs. */
static void modulate(const struct conditioning *conditioning, int n, const struct modulated_layer *layer)
{
    int width = conditioning->weights->config.condition;
    const float *condition = conditioning->condition;
    if (layer->fuser.weight) {
        linear(conditioning, layer->fuser, (struct layer_input){n, condition, 2 * width},
               conditioning->block_condition, width);
        condition = conditioning->block_condition;
    }
    show(conditioning, "c_in", layer->block, condition, width);
    linear(conditioning, layer->modulation, (struct layer_input){n, condition, width}, layer->out,
           conditioning->width);
    show(conditioning, layer->block < 0 ? "final_adaLN" : "adaLN", layer->block, layer->out, layer->n_out);
}

/* conditioning->condition[n]: what all layers start from. */
static void condition_of(const struct conditioning *conditioning, struct pairs pairs)
{
    const struct model_weights *weights = conditioning->weights;
    int width = weights->config.condition;
    const struct embedding alone = {&weights->time, false, ACTIVATION_SILU, "t_sinusoid", "silu(t_emb)"};
    const struct embedding time = {&weights->time, false, ACTIVATION_NONE, "t_sinusoid", "t_emb"};
    const struct embedding step_size = {&weights->step_size, true, ACTIVATION_NONE, "dt_sinusoid", "dt_emb"};
    if (!weights->condition) {
        embed_pairs(conditioning, &alone, pairs, conditioning->condition, width);
        return;
    }
    embed_pairs(conditioning, &time, pairs, conditioning->joined, 2 * width);
    embed_pairs(conditioning, &step_size, pairs, conditioning->joined + width, 2 * width);
    linear(conditioning, (struct layer){weights->condition, weights->condition_bias, ACTIVATION_SILU},
           (struct layer_input){pairs.n, conditioning->joined, 2 * width}, conditioning->condition,
           2 * width);
    show(conditioning, "silu(time_condition_fuser)", -1, conditioning->condition, 2 * width);
}

/* condition[n] += the class's row, for networks that know classes. */
static void add_classes(const struct conditioning *conditioning, struct pairs pairs)
{
    const struct model_weights *weights = conditioning->weights;
    const int64_t width = weights->config.condition;
    for (int i = 0; i < pairs.n && weights->classes; i++) {
        float *condition = conditioning->condition + i * width;
        weights->backend->add(weights->device, condition, weights->classes + pairs.keys[i].class * width,
                              width, condition);
    }
}

/* The entry of a network without modulation. */
static void write_neutral_entry(const struct conditioning *conditioning, float *row)
{
    const struct model_weights *weights = conditioning->weights;
    const int hidden = weights->config.hidden;
    enum { PIECE = 256 };
    float piece[PIECE];
    for (int64_t i = 0; i < conditioning->width; i += PIECE) {
        int64_t n = conditioning->width - i < PIECE ? conditioning->width - i : PIECE;
        for (int64_t k = 0; k < n; k++) {
            int64_t chunk = (i + k) / hidden, of_blocks = 6 * (int64_t)weights->config.n_blocks;
            piece[k] = chunk < of_blocks && (chunk % 6 == 2 || chunk % 6 == 5);
        }
        weights->backend->upload(weights->device, row + i, piece, (size_t)n * sizeof *piece);
    }
}

static struct modulated_layer layer_of_block(const struct conditioning *conditioning, int index, float *row)
{
    const struct block_weights *block = &conditioning->weights->blocks[index];
    return (struct modulated_layer){
        .block = index,
        .fuser = {block->condition_fuser, block->condition_fuser_bias, ACTIVATION_SILU},
        .modulation = {block->modulation, block->modulation_bias, ACTIVATION_NONE},
        .out = row + conditioning_block_offset(conditioning, index),
        .n_out = 6 * conditioning->weights->config.hidden};
}

static struct modulated_layer output_layer(const struct conditioning *conditioning, float *row)
{
    const struct model_weights *weights = conditioning->weights;
    return (struct modulated_layer){
        .block = -1,
        .fuser = {weights->out_condition_fuser, weights->out_condition_fuser_bias, ACTIVATION_SILU},
        .modulation = {weights->out_modulation, weights->out_modulation_bias, ACTIVATION_NONE},
        .out = row + conditioning_output_offset(conditioning),
        .n_out = 2 * weights->config.hidden};
}

/* Fills the entries first ... first + n, whose keys are set. */
static void compute_entries(const struct conditioning *conditioning, int first, int n)
{
    float *row = conditioning->table + first * conditioning->width;
    const struct pairs pairs = {n, &conditioning->keys[first]};
    if (conditioning->weights->config.is_unmodulated) {
        for (int i = 0; i < n; i++)
            write_neutral_entry(conditioning, row + i * conditioning->width);
        return;
    }
    condition_of(conditioning, pairs);
    add_classes(conditioning, pairs);
    for (int i = 0; i < conditioning->weights->config.n_blocks; i++) {
        const struct modulated_layer block = layer_of_block(conditioning, i, row);
        modulate(conditioning, n, &block);
    }
    const struct modulated_layer output = output_layer(conditioning, row);
    modulate(conditioning, n, &output);
}

void conditioning_turn(struct conditioning *conditioning)
{
    conditioning->turn = conditioning->clock;
}

static int find(const struct conditioning *conditioning, const struct conditioning_key *wanted)
{
    const struct conditioning_key *keys = conditioning->keys;
    for (int i = 0; i < conditioning->n_entries; i++)
        if (keys[i].used && keys[i].t == wanted->t && keys[i].dt == wanted->dt &&
            keys[i].class == wanted->class)
            return i;
    return -1;
}

/* When the run of n entries from `first` on was last used. */
static uint64_t last_use(const struct conditioning *conditioning, int first, int n)
{
    uint64_t last = 0;
    for (int i = first; i < first + n; i++)
        last = conditioning->keys[i].used > last ? conditioning->keys[i].used : last;
    return last;
}

/* The run of *n entries whose last use is longest ago. *n becomes smaller until a run without an entry of
 * this turn exists. */
static int oldest_run(const struct conditioning *conditioning, int *n)
{
    for (;; *n = (*n + 1) / 2) {
        int oldest = 0;
        for (int i = 1; i + *n <= conditioning->n_entries; i++)
            if (last_use(conditioning, i, *n) < last_use(conditioning, oldest, *n))
                oldest = i;
        if (*n == 1 || last_use(conditioning, oldest, *n) <= conditioning->turn)
            return oldest;
    }
}

static bool is_listed(const struct conditioning_key *keys, int n, const struct conditioning_key *key)
{
    for (int i = 0; i < n; i++)
        if (keys[i].t == key->t && keys[i].dt == key->dt)
            return true;
    return false;
}

/* Lists the step's key, which keys[0] holds, and those of the later steps of its schedule whose entries are
 * missing; returns how many. */
static int list_missing(const struct conditioning *conditioning, const struct plan_sequence *sequence,
                        struct conditioning_key *keys)
{
    int n = 1, most = conditioning->observer ? 1 : conditioning->at_once; /* a trace shows one pair */
    most = most < conditioning->n_entries / 2 ? most : 1;
    for (int i = sequence->step + 1; i < sequence->n_steps && n < most; i++) {
        struct schedule_step at = move_times(&conditioning->weights->config, i, sequence->n_steps);
        const struct conditioning_key key = {.t = at.t, .dt = at.h, .class = sequence->class};
        if (find(conditioning, &key) < 0 && !is_listed(keys, n, &key))
            keys[n++] = key;
    }
    return n;
}

int conditioning_entry(struct conditioning *conditioning, const struct plan_sequence *sequence)
{
    struct conditioning_key missing[CONDITIONING_AT_ONCE] = {
        {.t = sequence->at.t, .dt = sequence->at.h, .class = sequence->class}};
    int found = find(conditioning, &missing[0]);
    if (found < 0) {
        int n = list_missing(conditioning, sequence, missing);
        found = oldest_run(conditioning, &n);
        for (int i = 0; i < n; i++) {
            conditioning->keys[found + i] = missing[i];
            conditioning->keys[found + i].used = conditioning->turn;
        }
        compute_entries(conditioning, found, n);
    }
    conditioning->keys[found].used = ++conditioning->clock;
    return found;
}
