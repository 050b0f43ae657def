#ifndef MILLRACE_COMMON_MODEL_CONFIG_H
#define MILLRACE_COMMON_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/solver.h"
#include "common/status.h"

/*
 * config.json of a model directory:
 *
 *   { "format": "millrace-1", "name": "books-mini", "architecture": "fs-dfm" | "dfm",
 *     "vocabulary": 2048, "hidden": 192, "heads": 4, "blocks": 4, "condition": 64,
 *     "source": "uniform" | "mask", "scheduler": {"type": "polynomial", "exponent": 1},
 *     "trained_length": 128, "max_length": 1024, "default_steps": 8, "max_steps": 1024,
 *     "default_solver": "cumulative" | "euler" | ... (common/solver.h),
 *     "origin": {...free text for people: file, entry, step...} }
 *
 * Every key must be there, except "default_solver" (cumulative without it) and "origin". No other key may be
 * there, so that a misspelt key is an error and not a default. "origin" is the place for notes. "vocabulary"
 * is V and does not count the mask token: with a mask source the model has V + 1 rows, and the mask token is
 * V.
 *
 * The networks of others (network.h) have keys of their own beside these (config_extras.h). Their published
 * config.json is read as it is, too (published.h): it has no "format".
 */
enum architecture {
    ARCHITECTURE_DFM,    /* the teacher of an FS-DFM */
    ARCHITECTURE_FS_DFM, /* the student: it sees the step size too */
    ARCHITECTURE_MDLM,   /* from here on: published models of others; network.h names their papers */
    ARCHITECTURE_SEDD,
    ARCHITECTURE_DUO,
    ARCHITECTURE_UDLM,
    ARCHITECTURE_GIDD,
    ARCHITECTURE_BD3LM,
    ARCHITECTURE_COUNT
};
enum source { SOURCE_UNIFORM, SOURCE_MASK };

enum { MODEL_NAME_MAX = 64, TIME_GRID_MAX = 64 };
enum { MODEL_CONFIG_BYTES_MAX = 1 << 20 }; /* the largest config.json that is read */

struct model_config {
    char name[MODEL_NAME_MAX]; /* [A-Za-z0-9._-]+, not beginning with a dot */
    enum architecture architecture;
    enum source source;
    int vocabulary;      /* V, 2 ... 2^20 */
    int n_ids;           /* V' = V, or V + 1 with a mask source: rows of the embedding and the head */
    int mask_token;      /* V with a mask source, else -1 */
    int hidden;          /* D, 2 ... 16384 */
    int n_heads;         /* H, 1 ... 1024; D is a multiple of H, D/H is even */
    int head_size;       /* D / H */
    int n_blocks;        /* N, 1 ... 1024 */
    int condition;       /* C, 1 ... 16384 */
    int n_classes;       /* UDLM: that a text may be of; 0: the network knows no classes */
    bool is_timeless;    /* the network is told time 0, whatever the time is */
    bool is_unmodulated; /* BD3-LM: no part of the network sees the time */
    bool is_unscaled;    /* SEDD: logits are scores without a factor that depends on the time */
    int block_size;      /* BD3-LM: positions that are written together; 0: all */
    double p_uniform;    /* GIDD: how much of the noise is uniform, 0 to 1 */
    double t_eps;        /* GIDD: how far from 0 and 1 the time stays */
    int n_time_grid;     /* 0: steps divide the time evenly */
    double time_grid[TIME_GRID_MAX]; /* rises from 0 to 1: the time at the end of each n-th of the steps */
    double scheduler_exponent;       /* n of κ(t) = t^n, above 0, at most 64 */
    int trained_length, max_length;  /* 1 ... 65536 */
    int default_steps, max_steps;    /* 1 ... 65536, default at most max */
    enum solver default_solver;      /* of a request that names none */
};

/* Reads DIRECTORY/config.json. Every number is bounded; INVALID_ARGUMENT names the file, the key, the value
 * and the limit, NOT_FOUND a directory or file that is not there. */
enum status model_config_read(const char *directory, struct model_config *config, struct error *error);

/* The same from bytes in memory (not terminated); `where` is put before the sentences. */
enum status model_config_parse(const char *json, size_t size_bytes, const char *where,
                               struct model_config *config, struct error *error);

/* For a config that was made in memory: checks every number and how they fit together, and fills in what
 * follows from them (n_ids, mask_token, head_size). Sentences begin with the key. */
enum status model_config_complete(struct model_config *config, struct error *error);

/* Writes DIRECTORY/config.json, whole or not at all. `origin_json` (an object, or NULL) is kept as "origin".
 * INVALID_ARGUMENT for a config that model_config_complete refuses. */
enum status model_config_write(const char *directory, const struct model_config *config,
                               const char *origin_json, struct error *error);

/* DIRECTORY/config.json's "origin" as JSON text, for people; malloc'ed, NULL where there is none. */
char *model_config_origin(const char *directory);

/* From `directory`'s last part, as far as a name may have its characters; else `otherwise`. */
void model_name_of(const char *directory, const char *otherwise, char name[MODEL_NAME_MAX]);

/* "mask". */
const char *source_name(enum source source);

/* Parameters of a model of this shape (the rotary buffer not counted). */
uint64_t model_config_parameters(const struct model_config *config);

#endif
