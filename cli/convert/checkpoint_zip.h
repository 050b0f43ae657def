#ifndef MILLRACE_CLI_CONVERT_CHECKPOINT_ZIP_H
#define MILLRACE_CLI_CONVERT_CHECKPOINT_ZIP_H

#include <zip.h>

#include "cli/convert/checkpoint.h"

/* The archive under a checkpoint; used by the checkpoint_*.c files only. */
struct checkpoint {
    zip_t *zip;
    uint64_t file_bytes;
    char *folder; /* X of X/data.pkl */
    char *pickle_bytes;
    struct pickle *pickle;
};

/* A record that is being read. */
struct record {
    zip_file_t *file;
    uint64_t size_bytes, at;
    char name[96]; /* within the folder, for messages */
};

/* Opens X/NAME. NOT_FOUND: there is none. INVALID_ARGUMENT: it is compressed, or larger than the file. */
enum status record_open(struct checkpoint *checkpoint, const char *name, struct record *record,
                        struct error *error);
void record_close(struct record *record);

/* Reads the next n bytes. DATA_LOSS: they cannot be read, or the whole record was read in order and has
 * another CRC-32. */
enum status record_read(struct record *record, void *bytes, size_t n, struct error *error);
enum status record_skip_to(struct record *record, uint64_t offset_bytes, struct error *error);

/* Reads a whole record of at most `most_bytes` into malloc'ed memory. */
enum status checkpoint_load_record(struct checkpoint *checkpoint, const char *name, uint64_t most_bytes,
                                   char **bytes, size_t *size_bytes, struct error *error);

#endif
