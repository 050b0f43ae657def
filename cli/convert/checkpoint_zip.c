#include "cli/convert/checkpoint_zip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Finds where X/NAME lies in the archive. */
static enum status find_record(struct checkpoint *checkpoint, const char *name, zip_stat_t *found,
                               struct error *error)
{
    char *full;
    if (asprintf(&full, "%s/%s", checkpoint->folder, name) < 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    const int missing = zip_stat(checkpoint->zip, full, ZIP_FL_ENC_RAW, found);
    free(full);
    if (missing)
        return error_set(error, STATUS_NOT_FOUND, "record %s is missing: the file is incomplete", name);
    const zip_uint64_t needed = ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if ((found->valid & needed) != needed || found->comp_method != ZIP_CM_STORE ||
        found->size != found->comp_size)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "record %s is compressed; torch.save stores records as they are", name);
    if (found->size > checkpoint->file_bytes)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "record %s says it has %llu bytes; the whole file has %llu", name,
                         (unsigned long long)found->size, (unsigned long long)checkpoint->file_bytes);
    return STATUS_OK;
}

enum status record_open(struct checkpoint *checkpoint, const char *name, struct record *record,
                        struct error *error)
{
    zip_stat_t found;
    enum status status = find_record(checkpoint, name, &found, error);
    if (status)
        return status;
    snprintf(record->name, sizeof record->name, "%s", name);
    record->size_bytes = found.size;
    record->at = 0;
    record->file = zip_fopen_index(checkpoint->zip, found.index, 0);
    if (!record->file)
        return error_set(error, STATUS_DATA_LOSS, "record %s cannot be read: %s", name,
                         zip_strerror(checkpoint->zip));
    return STATUS_OK;
}

void record_close(struct record *record)
{
    zip_fclose(record->file);
}

/* libzip compares the checksum when we read past the end of a record. */
static bool checksum_differs(struct record *record)
{
    char beyond;
    return zip_fread(record->file, &beyond, 1) < 0;
}

enum status record_read(struct record *record, void *bytes, size_t n, struct error *error)
{
    zip_int64_t read = zip_fread(record->file, bytes, n);
    record->at += n;
    if (read == (zip_int64_t)n && !(record->at == record->size_bytes && checksum_differs(record)))
        return STATUS_OK;
    return error_set(error, STATUS_DATA_LOSS, "record %s is damaged: %s", record->name,
                     read < 0 || record->at == record->size_bytes ? zip_file_strerror(record->file)
                                                                  : "it ends early");
}

enum status record_skip_to(struct record *record, uint64_t offset_bytes, struct error *error)
{
    record->at = offset_bytes;
    if (offset_bytes == 0 || zip_fseek(record->file, (zip_int64_t)offset_bytes, SEEK_SET) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_DATA_LOSS, "record %s: cannot seek: %s", record->name,
                     zip_file_strerror(record->file));
}

enum status checkpoint_load_record(struct checkpoint *checkpoint, const char *name, uint64_t most_bytes,
                                   char **bytes, size_t *size_bytes, struct error *error)
{
    struct record record;
    enum status status = record_open(checkpoint, name, &record, error);
    if (status)
        return status;
    char *buffer = NULL;
    if (record.size_bytes > most_bytes)
        status = error_set(error, STATUS_INVALID_ARGUMENT, "record %s has %llu bytes; at most %llu are read",
                           name, (unsigned long long)record.size_bytes, (unsigned long long)most_bytes);
    else if (!(buffer = malloc(record.size_bytes + 1)))
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "record %s: no memory for %llu bytes", name,
                           (unsigned long long)record.size_bytes);
    else
        status = record_read(&record, buffer, record.size_bytes, error);
    record_close(&record);
    if (status) {
        free(buffer);
        return status;
    }
    *bytes = buffer;
    *size_bytes = record.size_bytes;
    return STATUS_OK;
}
