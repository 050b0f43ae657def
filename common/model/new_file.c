#include "common/model/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct new_file {
    int fd; /* -1: closed */
    char *path;
    char *temporary; /* "PATH.PID.partial": beside it, so that the rename stays within one file system */
};

static void new_file_free(struct new_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
    free(file->temporary);
    free(file);
}

void new_file_abandon(struct new_file *file)
{
    if (!file)
        return;
    if (file->temporary)
        unlink(file->temporary);
    new_file_free(file);
}

enum status new_file_create(const char *path, struct new_file **file, struct error *error)
{
    struct new_file *made = calloc(1, sizeof *made);
    if (!made)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory", path);
    made->fd = -1;
    made->path = strdup(path);
    if (asprintf(&made->temporary, "%s.%ld.partial", path, (long)getpid()) < 0)
        made->temporary = NULL;
    enum status status = STATUS_OK;
    if (!made->path || !made->temporary)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory", path);
    else if ((made->fd = open(made->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
        status = error_set(error, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_PERMISSION_DENIED,
                           "%s: cannot create the file: %m", made->temporary);
    if (status) {
        new_file_free(made);
        return status;
    }
    *file = made;
    return STATUS_OK;
}

enum status new_file_write(struct new_file *file, const void *bytes, size_t size_bytes, struct error *error)
{
    const char *from = bytes;
    while (size_bytes > 0) {
        ssize_t n = write(file->fd, from, size_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(error, errno == ENOSPC ? STATUS_RESOURCE_EXHAUSTED : STATUS_DATA_LOSS,
                             "%s: cannot write: %m", file->path);
        from += n;
        size_bytes -= (size_t)n;
    }
    return STATUS_OK;
}

/* Makes the new name itself survive a crash. Some file systems cannot sync a directory: no error then. */
static void sync_directory(const char *path)
{
    char *directory = strdup(path);
    if (!directory)
        return;
    char *slash = strrchr(directory, '/');
    if (slash)
        slash[slash == directory ? 1 : 0] = '\0';
    int fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(directory);
}

enum status new_file_commit(struct new_file *file, struct error *error)
{
    int failed = fsync(file->fd) != 0;
    int reason = errno;
    if (close(file->fd) != 0 && !failed) {
        failed = 1;
        reason = errno;
    }
    file->fd = -1; /* also after a close that failed: the descriptor is gone */
    errno = reason;
    if (failed || rename(file->temporary, file->path) != 0) {
        enum status status = error_set(error, STATUS_DATA_LOSS, "%s: cannot finish the file: %m", file->path);
        new_file_abandon(file);
        return status;
    }
    sync_directory(file->path);
    new_file_free(file);
    return STATUS_OK;
}
