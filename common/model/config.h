#ifndef MILLRACE_COMMON_MODEL_CONFIG_H
#define MILLRACE_COMMON_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/*
 * config.json of a model directory:
 *
 *   { "format": "millrace-1", "name": "books-mini", "architecture": "fs-dfm" | "dfm",
 *     "vocabulary": 2048, "hidden": 192, "heads": 4, "blocks": 4, "condition": 64,
 *     "source": "uniform" | "mask", "scheduler": {"type": "polynomial", "exponent": 1},
 *     "trained_length": 128, "max_length": 1024, "default_steps": 8, "max_steps": 1024,
 *     "origin": {...free text for people: file, entry, step...} }
 *
 * "vocabulary" is V, the mask token not counted: with a mask source the model has V + 1 rows and the mask token is V.
 */
enum architecture { ARCHITECTURE_DFM, ARCHITECTURE_FS_DFM }; /* teacher; student: sees the step size too */
enum source { SOURCE_UNIFORM, SOURCE_MASK };

enum { MODEL_NAME_MAX = 64 };

struct model_config {
    char name[MODEL_NAME_MAX]; /* [A-Za-z0-9._-]+ */
    enum architecture architecture;
    enum source source;
    int vocabulary; /* V */
    int n_ids;      /* V' = V, or V + 1 with a mask source: rows of the embedding and the head */
    int mask_token; /* V with a mask source, else -1 */
    int hidden;     /* D */
    int n_heads;    /* H; D is a multiple of H, D/H is even */
    int head_size;  /* D / H */
    int n_blocks;   /* N */
    int condition;  /* C */
    double scheduler_exponent; /* n of κ(t) = t^n */
    int trained_length, max_length;
    int default_steps, max_steps;
};

/* Reads DIRECTORY/config.json. Every number is bounded; INVALID_ARGUMENT names the file, the key and the limit,
 * NOT_FOUND a file that is not there. */
enum status model_config_read(const char *directory, struct model_config *config, struct error *error);

/* The same from bytes in memory (not terminated); `where` is put before the sentences. */
enum status model_config_parse(const char *json, size_t size_bytes, const char *where, struct model_config *config,
                               struct error *error);

/* Writes DIRECTORY/config.json. `origin_json` (an object, or NULL) is kept as "origin". */
enum status model_config_write(const char *directory, const struct model_config *config, const char *origin_json,
                               struct error *error);

/* Parameters of a model of this shape (the rotary buffer not counted). */
uint64_t model_config_parameters(const struct model_config *config);

#endif
