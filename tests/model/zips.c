#include "tests/model/zips.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

static void add(zip_t *zip, const struct zip_record *record)
{
    void *copy = malloc(record->size_bytes + 1); /* libzip frees it */
    memcpy(copy, record->bytes, record->size_bytes);
    zip_source_t *source = zip_source_buffer(zip, copy, record->size_bytes, 1);
    const zip_int64_t index = zip_file_add(zip, record->name, source, 0);
    ck_assert_int_ge(index, 0);
    const int method = record->compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE;
    ck_assert_int_eq(zip_set_file_compression(zip, (zip_uint64_t)index, method, 0), 0);
}

void zip_make(const char *path, const struct zip_record *records)
{
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    ck_assert_ptr_nonnull(zip);
    for (; records->name; records++)
        add(zip, records);
    ck_assert_int_eq(zip_close(zip), 0);
}

static char *load_entry(zip_t *zip, zip_uint64_t index, zip_stat_t *found)
{
    ck_assert_int_eq(zip_stat_index(zip, index, 0, found), 0);
    char *bytes = malloc(found->size + 1);
    zip_file_t *file = zip_fopen_index(zip, index, 0);
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(zip_fread(file, bytes, found->size), (zip_int64_t)found->size);
    zip_fclose(file);
    return bytes;
}

static int ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n > m && name[n - m - 1] == '/' && strcmp(name + n - m, end) == 0;
}

static void replace(char *bytes, size_t size_bytes, const void *from, const void *to, size_t n)
{
    char *at = memmem(bytes, size_bytes, from, n);
    ck_assert_msg(at != NULL, "\"%.*s\" is not in the record", (int)n, (const char *)from);
    memcpy(at, to, n);
}

void zip_edit(const char *source, const char *path, const char *record, const void *from, const void *to,
              size_t n)
{
    zip_t *in = zip_open(source, ZIP_RDONLY, NULL), *out = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    ck_assert_ptr_nonnull(in);
    ck_assert_ptr_nonnull(out);
    for (zip_int64_t i = 0; i < zip_get_num_entries(in, 0); i++) {
        zip_stat_t found;
        char *bytes = load_entry(in, (zip_uint64_t)i, &found);
        if (ends_with(found.name, record))
            replace(bytes, found.size, from, to, n);
        const struct zip_record copy = {found.name, bytes, found.size, 0};
        add(out, &copy);
        free(bytes);
    }
    ck_assert_int_eq(zip_close(out), 0);
    zip_discard(in);
}

char *zip_load(const char *path, const char *record, size_t *size_bytes)
{
    zip_t *zip = zip_open(path, ZIP_RDONLY, NULL);
    ck_assert_ptr_nonnull(zip);
    char *bytes = NULL;
    for (zip_int64_t i = 0; i < zip_get_num_entries(zip, 0) && !bytes; i++) {
        zip_stat_t found;
        if (!ends_with(zip_get_name(zip, (zip_uint64_t)i, 0), record))
            continue;
        bytes = load_entry(zip, (zip_uint64_t)i, &found);
        *size_bytes = found.size;
    }
    ck_assert_ptr_nonnull(bytes);
    zip_discard(zip);
    return bytes;
}
