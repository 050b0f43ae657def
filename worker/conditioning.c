#include "worker/conditioning.h"

#include <math.h>
#include <stdlib.h>

enum { SINUSOID_WIDTH = 256, SINUSOID_HALF = SINUSOID_WIDTH / 2 };

static void *allocate(struct conditioning *conditioning, size_t n_floats)
{
    const struct model_weights *weights = conditioning->weights;
    return weights->backend->allocate(weights->device, n_floats * sizeof(float));
}

enum status conditioning_init(struct conditioning *conditioning, const struct model_weights *weights,
                              int n_entries, struct error *error)
{
    size_t condition = (size_t)weights->config.condition;
    *conditioning = (struct conditioning){.weights = weights, .n_entries = n_entries};
    conditioning->width = conditioning_output_offset(conditioning) + 2 * (int64_t)weights->config.hidden;
    conditioning->keys = calloc((size_t)n_entries, sizeof *conditioning->keys);
    conditioning->table = allocate(conditioning, (size_t)n_entries * (size_t)conditioning->width);
    conditioning->features = allocate(conditioning, SINUSOID_WIDTH);
    conditioning->hidden = allocate(conditioning, condition);
    conditioning->joined = allocate(conditioning, 2 * condition);
    conditioning->condition = allocate(conditioning, 2 * condition);
    conditioning->block_condition = allocate(conditioning, condition);
    if (conditioning->keys && conditioning->table && conditioning->features && conditioning->hidden &&
        conditioning->joined && conditioning->condition && conditioning->block_condition)
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
        if (owned[i])
            conditioning->weights->backend->release(conditioning->weights->device, owned[i]);
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

/* y[1, n_out] = activation(x[1, n_in] · w^T + bias) */
static void linear(const struct conditioning *conditioning, const float *x, int n_in,
                   const struct weight *weight, const float *bias, enum activation activation, float *y,
                   int64_t n_out)
{
    const struct matmul op = {.x = x,
                              .ld_x = n_in,
                              .rows = 1,
                              .weight = weight,
                              .bias = bias,
                              .activation = activation,
                              .y = y,
                              .ld_y = n_out};
    conditioning->weights->backend->matmul(conditioning->weights->device, &op);
}

/* features = [cos(τ f) ‖ sin(τ f)], f_k = exp(-ln(10000) k / 128); frequencies and angles are float32 in the reference. */
static void sinusoid(const struct conditioning *conditioning, float tau)
{
    float features[SINUSOID_WIDTH];
    for (int k = 0; k < SINUSOID_HALF; k++) {
        float exponent = (float)-log(10000.0) * (float)k / (float)SINUSOID_HALF;
        float angle = tau * (float)exp((double)exponent);
        features[k] = (float)cos((double)angle);
        features[SINUSOID_HALF + k] = (float)sin((double)angle);
    }
    const struct model_weights *weights = conditioning->weights;
    weights->backend->upload(weights->device, conditioning->features, features, sizeof features);
}

/* What the steps of one time embedding are called in a trace. */
struct embedding_names {
    const char *features, *embedding;
};

static void embed_time(const struct conditioning *conditioning, const struct time_mlp *mlp, float tau,
                       enum activation activation, struct embedding_names names, float *out)
{
    int width = conditioning->weights->config.condition;
    sinusoid(conditioning, tau);
    show(conditioning, names.features, -1, conditioning->features, SINUSOID_WIDTH);
    linear(conditioning, conditioning->features, SINUSOID_WIDTH, mlp->first, mlp->first_bias, ACTIVATION_SILU,
           conditioning->hidden, width);
    linear(conditioning, conditioning->hidden, width, mlp->second, mlp->second_bias, activation, out, width);
    show(conditioning, names.embedding, -1, out, width);
}

/* One layer's vectors: modulation(SiLU(fuser(c))) in a student, modulation(c) in a teacher. block -1: the output layer. */
static void modulate_layer(const struct conditioning *conditioning, int block, const struct weight *fuser,
                           const float *fuser_bias, const struct weight *modulation, const float *bias,
                           float *out, int64_t n_out)
{
    int width = conditioning->weights->config.condition;
    const float *condition = conditioning->condition;
    if (fuser) {
        linear(conditioning, condition, 2 * width, fuser, fuser_bias, ACTIVATION_SILU,
               conditioning->block_condition, width);
        condition = conditioning->block_condition;
    }
    show(conditioning, "c_in", block, condition, width);
    linear(conditioning, condition, width, modulation, bias, ACTIVATION_NONE, out, n_out);
    show(conditioning, block < 0 ? "final_adaLN" : "adaLN", block, out, n_out);
}

static void compute_entry(const struct conditioning *conditioning, float t, float dt, float *row)
{
    const struct model_weights *weights = conditioning->weights;
    int condition = weights->config.condition, hidden = weights->config.hidden;
    if (weights->condition) {
        embed_time(conditioning, &weights->time, t, ACTIVATION_NONE,
                   (struct embedding_names){"t_sinusoid", "t_emb"}, conditioning->joined);
        embed_time(conditioning, &weights->step_size, dt, ACTIVATION_NONE,
                   (struct embedding_names){"dt_sinusoid", "dt_emb"}, conditioning->joined + condition);
        linear(conditioning, conditioning->joined, 2 * condition, weights->condition, weights->condition_bias,
               ACTIVATION_SILU, conditioning->condition, 2 * condition);
        show(conditioning, "silu(time_condition_fuser)", -1, conditioning->condition, 2 * condition);
    } else {
        embed_time(conditioning, &weights->time, t, ACTIVATION_SILU,
                   (struct embedding_names){"t_sinusoid", "silu(t_emb)"}, conditioning->condition);
    }
    for (int i = 0; i < weights->config.n_blocks; i++) {
        const struct block_weights *block = &weights->blocks[i];
        modulate_layer(conditioning, i, block->condition_fuser, block->condition_fuser_bias,
                       block->modulation, block->modulation_bias,
                       row + conditioning_block_offset(conditioning, i), 6 * hidden);
    }
    modulate_layer(conditioning, -1, weights->out_condition_fuser, weights->out_condition_fuser_bias,
                   weights->out_modulation, weights->out_modulation_bias,
                   row + conditioning_output_offset(conditioning), 2 * hidden);
}

int conditioning_entry(struct conditioning *conditioning, float t, float dt)
{
    int oldest = 0;
    struct conditioning_key *keys = conditioning->keys;
    for (int i = 0; i < conditioning->n_entries; i++) {
        if (keys[i].used && keys[i].t == t && keys[i].dt == dt) {
            keys[i].used = ++conditioning->clock;
            return i;
        }
        if (keys[i].used < keys[oldest].used)
            oldest = i;
    }
    keys[oldest] = (struct conditioning_key){.t = t, .dt = dt, .used = ++conditioning->clock};
    compute_entry(conditioning, t, dt, conditioning->table + oldest * conditioning->width);
    return oldest;
}
