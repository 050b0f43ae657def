#ifndef MILLRACE_TESTS_MODEL_ZIPS_H
#define MILLRACE_TESTS_MODEL_ZIPS_H

#include <stddef.h>

/* Checkpoints made for tests: zips of stored records. Everything asserts. */
struct zip_record {
    const char *name; /* "X/data.pkl"; NULL ends a list */
    const void *bytes;
    size_t size_bytes;
    int compressed;
};
void zip_make(const char *path, const struct zip_record *records);

/* Copies a checkpoint; in its record `record` ("data.pkl") the first `from` becomes `to`, of as many bytes.
 */
void zip_edit(const char *source, const char *path, const char *record, const void *from, const void *to,
              size_t n);

/* One record of an archive by the end of its name; malloc'ed. */
char *zip_load(const char *path, const char *record, size_t *size_bytes);

#endif
