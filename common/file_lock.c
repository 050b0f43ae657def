#include "common/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/new_file.h"

static enum status take(const char *directory, int how, struct file_lock *lock, struct error *error)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed;
    if (fd < 0)
        return error_set(error, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_PERMISSION_DENIED,
                         "%s: cannot open the directory: %s", directory, strerror(errno));
    do
        failed = flock(fd, how);
    while (failed && errno == EINTR);
    if (failed) {
        enum status status =
            errno == EWOULDBLOCK
                ? error_set(error, STATUS_ALREADY_EXISTS, "%s: another command is writing there", directory)
                : error_set(error, STATUS_UNKNOWN, "%s: cannot lock the directory: %s", directory,
                            strerror(errno));
        close(fd);
        return status;
    }
    lock->directory = fd;
    return STATUS_OK;
}

enum status file_lock_wait(const char *path, struct file_lock *lock, struct error *error)
{
    char *target = NULL;
    enum status status = file_target(path, &target, error);
    if (status != STATUS_OK)
        return status;
    char *slash = strrchr(target, '/');
    if (slash)
        slash[slash == target ? 1 : 0] = '\0';
    status = take(slash ? target : ".", LOCK_EX, lock, error);
    free(target);
    return status;
}

enum status directory_lock_try(const char *directory, struct file_lock *lock, struct error *error)
{
    return take(directory, LOCK_EX | LOCK_NB, lock, error);
}

void file_lock_release(struct file_lock *lock)
{
    close(lock->directory);
    lock->directory = -1;
}
