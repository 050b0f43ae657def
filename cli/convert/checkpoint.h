#ifndef MILLRACE_CLI_CONVERT_CHECKPOINT_H
#define MILLRACE_CLI_CONVERT_CHECKPOINT_H

#include <stdint.h>

#include "cli/convert/pickle.h"
#include "common/status.h"

/*
 * A torch.save file of torch 1.6 or later: a zip of stored records. X/data.pkl is the structure, and
 * X/data/KEY are the numbers of a storage. The file is untrusted. Only data.pkl, of at most 8 MiB, is held in
 * memory. Numbers are read record by record when they are asked for, so that a file may be larger than
 * memory.
 */
struct checkpoint;

enum status checkpoint_open(const char *path, struct checkpoint **checkpoint, struct error *error);
void checkpoint_close(struct checkpoint *checkpoint); /* NULL is allowed */

/* The dict that was saved. */
const struct pickle_value *checkpoint_root(const struct checkpoint *checkpoint);
uint64_t checkpoint_file_bytes(const struct checkpoint *checkpoint);

/* Takes the next n_elements of a tensor, in row-major order, in the storage's own number format. */
struct element_sink {
    enum status (*take)(void *context, const void *elements, size_t n_elements, struct error *error);
    void *context;
};

/*
 * Reads a tensor and hands it to the sink in pieces of at most 1 MiB. Strides may be any: a tensor that is
 * not contiguous is gathered element by element from its storage, which is held in memory meanwhile.
 * INVALID_ARGUMENT: the view leaves its storage. DATA_LOSS: the record is damaged; the archive's CRC-32 is
 * checked where a record is read whole.
 */
enum status checkpoint_read(struct checkpoint *checkpoint, const struct pickle_tensor *tensor,
                            const struct element_sink *sink, struct error *error);

/* Product of the shape; INVALID_ARGUMENT when it does not fit. */
enum status pickle_tensor_elements(const struct pickle_tensor *tensor, int64_t *n_elements,
                                   struct error *error);

#endif
