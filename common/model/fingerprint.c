#include <stdio.h>
#include <string.h>

#include "common/model/network.h"
#include "common/model/tensors.h"

enum { SAMPLE_PIECES = 16, PIECE_BYTES = 256 };

/* FNV-1a, 64 bits (Fowler, Noll, Vo; IETF draft-eastlake-fnv). */
static const uint64_t fnv_start = 0xcbf29ce484222325u, fnv_prime = 0x100000001b3u;

static uint64_t mix(uint64_t hash, const void *bytes, size_t size_bytes)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ byte[i]) * fnv_prime;
    return hash;
}

static uint64_t mix_number(uint64_t hash, int64_t number)
{
    return mix(hash, &number, sizeof number);
}

/* All of a small tensor; of a large one evenly spaced pieces, the first and the last bytes among them. */
static uint64_t mix_sample(uint64_t hash, const char *data, size_t size_bytes)
{
    if (size_bytes <= (size_t)SAMPLE_PIECES * PIECE_BYTES)
        return mix(hash, data, size_bytes);
    for (size_t i = 0; i < SAMPLE_PIECES; i++)
        hash = mix(hash, data + (size_bytes - PIECE_BYTES) / (SAMPLE_PIECES - 1) * i, PIECE_BYTES);
    return mix(hash, data + size_bytes - PIECE_BYTES, PIECE_BYTES);
}

static uint64_t mix_tensor(uint64_t hash, const struct tensor *tensor)
{
    hash = mix(hash, tensor->name, strlen(tensor->name) + 1);
    hash = mix_number(hash, tensor->dtype);
    hash = mix_number(hash, tensor->n_dimensions);
    hash = mix(hash, tensor->shape, (size_t)tensor->n_dimensions * sizeof *tensor->shape);
    return mix_sample(hash, tensor->data, tensor->size_bytes);
}

/* What only the networks of others have. */
static uint64_t mix_extras(uint64_t hash, const struct model_config *config)
{
    const int64_t numbers[] = {config->n_classes,   config->is_timeless, config->is_unmodulated,
                               config->is_unscaled, config->block_size,  config->n_time_grid};
    const double reals[] = {config->p_uniform, config->t_eps};
    hash = mix(hash, numbers, sizeof numbers);
    hash = mix(hash, reals, sizeof reals);
    return mix(hash, config->time_grid, (size_t)config->n_time_grid * sizeof *config->time_grid);
}

/* Not the default solver: replicas are told the solver of every sequence. */
static uint64_t mix_config(uint64_t hash, const struct model_config *config)
{
    const int64_t numbers[] = {
        config->architecture, config->source,    config->vocabulary,    config->hidden,
        config->n_heads,      config->n_blocks,  config->condition,     config->trained_length,
        config->max_length,   config->max_steps, config->default_steps,
    };
    hash = mix(hash, numbers, sizeof numbers);
    if (network_of(config->architecture)->output != OUTPUT_FLOW)
        hash = mix_extras(hash, config);
    return mix(hash, &config->scheduler_exponent, sizeof config->scheduler_exponent);
}

void tensors_fingerprint(const struct tensors *tensors, const struct model_config *config, char out[17])
{
    uint64_t hash = mix_config(fnv_start, config);
    for (int i = 0; i < tensors_count(tensors); i++)
        hash = mix_tensor(hash, tensors_sorted_at(tensors, i));
    snprintf(out, 17, "%016llx", (unsigned long long)hash);
}
