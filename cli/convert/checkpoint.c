#include "cli/convert/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/convert/checkpoint_zip.h"
#include "common/foreign_file.h"

enum { PICKLE_BYTES_MAX = 8 << 20 };

void checkpoint_close(struct checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    if (checkpoint->zip)
        zip_discard(checkpoint->zip);
    pickle_free(checkpoint->pickle);
    free(checkpoint->pickle_bytes);
    free(checkpoint->folder);
    free(checkpoint);
}

/* Writes the error for a file that libzip does not open. */
static enum status refuse_file(const char *path, uint64_t file_bytes, int code, struct error *error)
{
    char begin[FOREIGN_FILE_BYTES];
    FILE *file = fopen(path, "rbe");
    const size_t n = file ? fread(begin, 1, sizeof begin, file) : 0;
    if (file)
        fclose(file);
    const bool is_zip = n >= 4 && memcmp(begin, "PK\3\4", 4) == 0;
    const char *instead = file && !is_zip ? foreign_file(begin, n) : NULL;
    if (instead)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s", instead);
    if (is_zip)
        return error_set(
            error, STATUS_DATA_LOSS,
            "is cut off or damaged: its %llu bytes begin as a torch.save file, but the end of that is "
            "not there. Download or copy it again",
            (unsigned long long)file_bytes);
    zip_error_t why;
    zip_error_init_with_code(&why, code);
    enum status status = error_set(error, STATUS_INVALID_ARGUMENT,
                                   "no torch.save file of torch 1.6 or later (those are zip archives): %s",
                                   zip_error_strerror(&why));
    zip_error_fini(&why);
    return status;
}

static enum status open_zip(const char *path, struct checkpoint *checkpoint, struct error *error)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return error_set(error, STATUS_NOT_FOUND, "cannot open the checkpoint: %m");
    if (!S_ISREG(found.st_mode))
        return error_set(error, STATUS_INVALID_ARGUMENT, "not a regular file");
    checkpoint->file_bytes = (uint64_t)found.st_size;
    int code;
    checkpoint->zip = zip_open(path, ZIP_RDONLY, &code);
    if (checkpoint->zip)
        return STATUS_OK;
    return refuse_file(path, checkpoint->file_bytes, code, error);
}

/* Finds the folder X of the one record X/data.pkl. */
static enum status find_folder(struct checkpoint *checkpoint, struct error *error)
{
    static const char wanted[] = "data.pkl";
    const zip_int64_t n = zip_get_num_entries(checkpoint->zip, 0);
    for (zip_int64_t i = 0; i < n; i++) {
        const char *name = zip_get_name(checkpoint->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        const char *slash = name ? strchr(name, '/') : NULL;
        if (!slash || slash == name || strcmp(slash + 1, wanted) != 0)
            continue;
        if (checkpoint->folder)
            return error_set(error, STATUS_INVALID_ARGUMENT, "the archive has more than one data.pkl");
        checkpoint->folder = strndup(name, (size_t)(slash - name));
        if (!checkpoint->folder)
            return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    }
    if (!checkpoint->folder)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "a zip archive, but no torch.save file: it has no FOLDER/data.pkl");
    return STATUS_OK;
}

/* torch 2 records the byte order of its numbers; torch 1 wrote little-endian on all machines it ran on. */
static enum status check_byte_order(struct checkpoint *checkpoint, struct error *error)
{
    char *order;
    size_t n;
    struct error ignored;
    if (checkpoint_load_record(checkpoint, "byteorder", 64, &order, &n, &ignored) != STATUS_OK)
        return STATUS_OK;
    const bool little = n >= 6 && memcmp(order, "little", 6) == 0;
    free(order);
    return little ? STATUS_OK
                  : error_set(error, STATUS_UNIMPLEMENTED,
                              "saved on a big-endian machine; load and save it on a little-endian one first");
}

static enum status check_root(const struct pickle_value *root, struct error *error)
{
    char name[PICKLE_NAME_ROOM];
    if (root->kind == PICKLE_OPAQUE)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "is one object, made by %s, which is refused; save its state_dict(). Nothing was executed",
            pickle_opaque_name(root, name));
    return root->kind == PICKLE_DICT
               ? STATUS_OK
               : error_set(error, STATUS_INVALID_ARGUMENT, "holds no dict of state dicts");
}

static enum status load(const char *path, struct checkpoint *checkpoint, struct error *error)
{
    size_t n;
    enum status status = open_zip(path, checkpoint, error);
    if (!status)
        status = find_folder(checkpoint, error);
    if (!status)
        status = check_byte_order(checkpoint, error);
    if (!status)
        status = checkpoint_load_record(checkpoint, "data.pkl", PICKLE_BYTES_MAX, &checkpoint->pickle_bytes,
                                        &n, error);
    if (!status)
        status = pickle_parse(checkpoint->pickle_bytes, n, &checkpoint->pickle, error);
    return status ? status : check_root(pickle_root(checkpoint->pickle), error);
}

enum status checkpoint_open(const char *path, struct checkpoint **checkpoint, struct error *error)
{
    struct checkpoint *made = calloc(1, sizeof *made);
    enum status status = STATUS_OK;
    if (!made)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    else
        status = load(path, made, error);
    if (status) {
        error_prefix(error, "%s", path);
        checkpoint_close(made);
        return status;
    }
    *checkpoint = made;
    return STATUS_OK;
}

const struct pickle_value *checkpoint_root(const struct checkpoint *checkpoint)
{
    return pickle_root(checkpoint->pickle);
}

uint64_t checkpoint_file_bytes(const struct checkpoint *checkpoint)
{
    return checkpoint->file_bytes;
}
