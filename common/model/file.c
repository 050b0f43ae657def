#include "common/model/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum status model_directory_check(const char *directory, struct error *error)
{
    struct stat found;
    const bool failed = stat(directory, &found) != 0;
    if (failed && (errno == ENOENT || errno == ENOTDIR))
        return error_set(
            error, STATUS_NOT_FOUND,
            "%s: no such model directory; give one that `millrace convert` or `millrace random` wrote",
            directory);
    if (!failed && !S_ISDIR(found.st_mode))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: not a directory; a model is a directory with config.json and model.safetensors",
                         directory);
    if (failed || access(directory, R_OK | X_OK) != 0)
        return error_set(error, STATUS_PERMISSION_DENIED, "%s: cannot read the model directory: %m",
                         directory);
    return STATUS_OK;
}

char *model_path(const char *directory, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

enum status file_map(const char *path, struct file_mapping *mapping, struct error *error)
{
    int fd;
    struct stat found;
    enum status status = file_open(path, FILE_REGULAR, &fd, error);
    if (status)
        return status;
    size_t size_bytes = fstat(fd, &found) ? 0 : (size_t)found.st_size;
    void *bytes = NULL;
    if (size_bytes > 0) {
        bytes = mmap(NULL, size_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED)
            status =
                error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: cannot map %zu bytes: %m", path, size_bytes);
    }
    close(fd);
    if (status)
        return status;
    mapping->bytes = bytes;
    mapping->size_bytes = size_bytes;
    return STATUS_OK;
}

void file_let_go(const struct file_mapping *mapping, const void *bytes, size_t size_bytes)
{
    const char *first = bytes, *begin = mapping->bytes;
    if (begin == NULL || first < begin || first >= begin + mapping->size_bytes)
        return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), at = (size_t)(first - begin) / page * page;
    (void)madvise((char *)mapping->bytes + at, size_bytes + (size_t)(first - begin) - at,
                  MADV_DONTNEED); /* a wish */
}

void file_unmap(struct file_mapping *mapping)
{
    if (mapping->bytes)
        munmap(mapping->bytes, mapping->size_bytes);
    mapping->bytes = NULL;
    mapping->size_bytes = 0;
}
