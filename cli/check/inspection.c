#include "cli/check/inspection.h"

#include <stdlib.h>

#include "common/model/layout.h"
#include "common/model/shard.h"
#include "common/tokenizer/tokenizer.h"

void inspection_release(struct inspection *inspection)
{
    tensors_close(inspection->tensors);
    free(inspection->origin);
}

static uint64_t rank_bytes(const struct inspection *inspection, int rank)
{
    const struct model_config *config = &inspection->config;
    struct shard shard;
    uint64_t total = 0;
    shard_init(&shard, config, rank, inspection->n_ranks);
    for (int i = 0; i < model_layout_count(config); i++) {
        struct model_tensor wanted;
        model_layout_at(config, i, &wanted);
        const struct tensor *found = tensors_find(inspection->tensors, wanted.name);
        const uint64_t extent = (uint64_t)wanted.shape[wanted.sharding == SHARDED_INPUT];
        if (found)
            total += found->size_bytes / extent * (uint64_t)shard_extent(&shard, config, &wanted);
    }
    return total;
}

static void share_out(struct inspection *inspection)
{
    inspection->largest_rank_bytes = 0;
    inspection->smallest_rank_bytes = UINT64_MAX;
    inspection->replicated_bytes = 0;
    for (int rank = 0; rank < inspection->n_ranks; rank++) {
        const uint64_t bytes = rank_bytes(inspection, rank);
        if (bytes > inspection->largest_rank_bytes)
            inspection->largest_rank_bytes = bytes;
        if (bytes < inspection->smallest_rank_bytes)
            inspection->smallest_rank_bytes = bytes;
    }
    for (int i = 0; i < model_layout_count(&inspection->config); i++) {
        struct model_tensor wanted;
        model_layout_at(&inspection->config, i, &wanted);
        const struct tensor *found = tensors_find(inspection->tensors, wanted.name);
        if (found && wanted.sharding == SHARDED_NOT)
            inspection->replicated_bytes += found->size_bytes;
    }
}

/* A directory without a tokenizer is a model of random weights; one with a wrong tokenizer is an error. */
static enum status count_tokens(struct inspection *inspection, struct error *error)
{
    struct tokenizer *tokenizer;
    inspection->n_tokens = -1;
    enum status status =
        tokenizer_open(inspection->directory, inspection->config.vocabulary, &tokenizer, error);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status)
        return status;
    inspection->n_tokens = tokenizer_size(tokenizer);
    tokenizer_free(tokenizer);
    return STATUS_OK;
}

enum status inspection_open(const char *directory, int n_ranks, struct inspection *inspection,
                            struct error *error)
{
    struct inspection made = {.directory = directory, .n_ranks = n_ranks};
    enum status status = model_config_read(directory, &made.config, error);
    if (!status)
        status = tensors_open_model(directory, &made.config, &made.tensors, error);
    if (!status)
        status = count_tokens(&made, error);
    if (status) {
        inspection_release(&made);
        return status;
    }
    tensors_fingerprint(made.tensors, &made.config, made.fingerprint);
    made.origin = model_config_origin(directory);
    share_out(&made);
    *inspection = made;
    return STATUS_OK;
}
