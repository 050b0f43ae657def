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

static enum status status_of_errno(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return STATUS_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return STATUS_PERMISSION_DENIED;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
        return STATUS_RESOURCE_EXHAUSTED;
    default:
        return STATUS_INVALID_ARGUMENT;
    }
}

/* Opens a regular file for reading; never waits, as opening a FIFO would. */
static enum status open_regular(const char *path, int *fd, size_t *size_bytes, struct error *error)
{
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (opened < 0)
        return error_set(error, status_of_errno(errno), "%s: cannot open the file: %m", path);
    struct stat found;
    if (fstat(opened, &found) != 0 || !S_ISREG(found.st_mode)) {
        close(opened);
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: not a regular file", path);
    }
    *fd = opened;
    *size_bytes = (size_t)found.st_size;
    return STATUS_OK;
}

/* Reads until the buffer is full or the file ends. -1 on failure, with errno. */
static ssize_t read_fully(int fd, char *bytes, size_t size_bytes)
{
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t n = read(fd, bytes + done, size_bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

enum status file_read(const char *path, size_t most_bytes, char **bytes, size_t *size_bytes,
                      struct error *error)
{
    int fd;
    size_t wanted;
    enum status status = open_regular(path, &fd, &wanted, error);
    if (status)
        return status;
    char *buffer = NULL;
    if (wanted > most_bytes) {
        status = error_set(error, STATUS_INVALID_ARGUMENT, "%s: %zu bytes; at most %zu are read", path,
                           wanted, most_bytes);
        goto fail;
    }
    buffer = malloc(wanted + 1);
    if (!buffer) {
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory for %zu bytes", path, wanted);
        goto fail;
    }
    ssize_t n = read_fully(fd, buffer, wanted);
    if (n < 0) {
        status = error_set(error, STATUS_DATA_LOSS, "%s: cannot read the file: %m", path);
        goto fail;
    }
    close(fd);
    buffer[n] = '\0';
    *bytes = buffer;
    *size_bytes = (size_t)n;
    return STATUS_OK;
fail:
    free(buffer);
    close(fd);
    return status;
}

enum status file_map(const char *path, struct file_mapping *mapping, struct error *error)
{
    int fd;
    size_t size_bytes;
    enum status status = open_regular(path, &fd, &size_bytes, error);
    if (status)
        return status;
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

void file_unmap(struct file_mapping *mapping)
{
    if (mapping->bytes)
        munmap(mapping->bytes, mapping->size_bytes);
    mapping->bytes = NULL;
    mapping->size_bytes = 0;
}
