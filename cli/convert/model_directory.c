#include "cli/convert/model_directory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/model/file.h"

static enum status check_empty(const char *directory, struct error *error)
{
    static const char *const names[] = {"config.json", "model.safetensors", "model.safetensors.index.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = model_path(directory, names[i]);
        const bool there = path && access(path, F_OK) == 0;
        free(path);
        if (there)
            return error_set(error, STATUS_ALREADY_EXISTS,
                             "%s: already has a %s; remove the old model or give another directory",
                             directory, names[i]);
    }
    return STATUS_OK;
}

enum status model_directory_make(const char *directory, struct file_lock *lock, struct error *error)
{
    if (mkdir(directory, 0777) != 0 && errno != EEXIST)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: cannot make the directory: %m", directory);
    enum status status = directory_lock_try(directory, lock, error);
    if (status != STATUS_OK)
        return status;
    status = check_empty(directory, error);
    if (status != STATUS_OK)
        file_lock_release(lock);
    return status;
}
