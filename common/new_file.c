#include "common/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct new_file {
    int fd;          /* -1: closed */
    char *path;      /* of the file itself, where a link names it */
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

enum status file_target(const char *path, char **target, struct error *error)
{
    struct stat facts;
    *target = realpath(path, NULL);
    if (*target)
        return STATUS_OK;
    if (errno == ENOENT && lstat(path, &facts) == 0)
        return error_set(error, STATUS_NOT_FOUND, "%s: is a link to a file that is not there", path);
    if (errno != ENOENT)
        return error_set(error, errno == ENOMEM ? STATUS_RESOURCE_EXHAUSTED : STATUS_PERMISSION_DENIED,
                         "%s: %m", path);
    *target = strdup(path);
    return *target ? STATUS_OK : error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory", path);
}

/* What of an old file cannot be kept by a new one. */
static enum status check_old(const char *path, const struct stat *old, struct error *error)
{
    if (!S_ISREG(old->st_mode))
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: is no regular file", path);
    if (old->st_nlink > 1)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: has %ju names (hard links); the others would keep the old content. "
                         "Make it a file of its own first: cp %s %s.new && mv %s.new %s",
                         path, (uintmax_t)old->st_nlink, path, path, path, path);
    if (access(path, W_OK) != 0)
        return error_set(error, STATUS_PERMISSION_DENIED, "%s: %m", path);
    return STATUS_OK;
}

/* Access lists and the like. Labels of security modules are the system's own to set. */
static bool copy_attributes(const char *from, int to)
{
    char names[4096], value[65536];
    ssize_t size = listxattr(from, names, sizeof names);
    for (const char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
        ssize_t n = getxattr(from, name, value, sizeof value);
        bool copied = n >= 0 && fsetxattr(to, name, value, (size_t)n, 0) == 0;
        if (!copied && strncmp(name, "security.", 9) != 0)
            return false;
    }
    return size >= 0 || errno == ENOTSUP;
}

/* The owner first: changing it takes set-user-id bits away, which the mode gives back. */
static enum status keep_facts(const struct new_file *file, const struct stat *old, struct error *error)
{
    if (fchown(file->fd, old->st_uid, old->st_gid) == 0 && copy_attributes(file->path, file->fd) &&
        fchmod(file->fd, old->st_mode & 07777) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_PERMISSION_DENIED,
                     "%s: this user cannot keep its owner, group and access rights (%ju:%ju, mode %04o): %m. "
                     "Nothing was changed",
                     file->path, (uintmax_t)old->st_uid, (uintmax_t)old->st_gid, old->st_mode & 07777);
}

static enum status open_temporary(struct new_file *file, const struct stat *old, mode_t mode,
                                  struct error *error)
{
    if (asprintf(&file->temporary, "%s.%ld.partial", file->path, (long)getpid()) < 0) {
        file->temporary = NULL;
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory", file->path);
    }
    unlink(file->temporary); /* of a process that was killed */
    file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, old ? 0600 : mode);
    if (file->fd < 0)
        return error_set(error, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_PERMISSION_DENIED,
                         "%s: cannot create the file: %m", file->temporary);
    enum status status = old ? keep_facts(file, old, error) : STATUS_OK;
    if (status != STATUS_OK)
        unlink(file->temporary);
    return status;
}

static enum status create(const char *path, mode_t mode, struct new_file **file, struct error *error)
{
    struct new_file *made = calloc(1, sizeof *made);
    struct stat old;
    if (!made)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory", path);
    made->fd = -1;
    enum status status = file_target(path, &made->path, error);
    bool replaces = status == STATUS_OK && stat(made->path, &old) == 0;
    if (replaces)
        status = check_old(made->path, &old, error);
    if (status == STATUS_OK)
        status = open_temporary(made, replaces ? &old : NULL, mode, error);
    if (status != STATUS_OK) {
        new_file_free(made);
        return status;
    }
    *file = made;
    return STATUS_OK;
}

enum status new_file_create(const char *path, struct new_file **file, struct error *error)
{
    return create(path, 0666, file, error);
}

enum status new_file_create_private(const char *path, struct new_file **file, struct error *error)
{
    return create(path, 0600, file, error);
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

enum status new_file_sync(struct new_file *file, struct error *error)
{
    if (file->fd < 0)
        return STATUS_OK;
    int reason = fsync(file->fd) == 0 ? 0 : errno;
    if (close(file->fd) != 0 && reason == 0)
        reason = errno;
    file->fd = -1; /* also after a close that failed: the descriptor is gone */
    return reason == 0 ? STATUS_OK
                       : error_set(error, STATUS_DATA_LOSS, "%s: cannot finish the file: %s", file->path,
                                   strerror(reason));
}

enum status new_file_commit(struct new_file *file, struct error *error)
{
    enum status status = new_file_sync(file, error);
    if (status == STATUS_OK && rename(file->temporary, file->path) != 0)
        status = error_set(error, STATUS_DATA_LOSS, "%s: cannot finish the file: %m", file->path);
    if (status != STATUS_OK) {
        new_file_abandon(file);
        return status;
    }
    sync_directory(file->path);
    new_file_free(file);
    return STATUS_OK;
}
