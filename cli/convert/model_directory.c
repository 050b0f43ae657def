#include "cli/convert/model_directory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/model/file.h"

enum status model_directory_make(const char *directory, struct error *error)
{
    static const char *const names[] = {"config.json", "model.safetensors", "model.safetensors.index.json"};
    if (mkdir(directory, 0777) != 0 && errno != EEXIST)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: cannot make the directory: %m", directory);
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
