#include "cli/places.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The directory of this executable. */
static enum status own_directory(char path[PATH_MAX], struct error *error)
{
    char executable[PATH_MAX] = "";
    ssize_t size = readlink("/proc/self/exe", executable, sizeof executable - 1);
    char *name = strrchr(executable, '/');
    if (size <= 0 || !name)
        return error_set(error, STATUS_UNKNOWN, "cannot find this executable through /proc/self/exe");
    *name = '\0';
    strcpy(path, executable);
    return STATUS_OK;
}

static bool join(char out[PATH_MAX], const char *directory, const char *name)
{
    return snprintf(out, PATH_MAX, "%s/%s", directory, name) < PATH_MAX;
}

static bool has_config(const char *directory)
{
    char path[PATH_MAX];
    return join(path, directory, "config.json") && access(path, R_OK) == 0;
}

/* Looks beside the build (build/NAME/bin), in an installation, and where the sources of this program were. */
static bool find_demonstration(const char *here, char path[PATH_MAX])
{
    static const char *const relative[] = {"../../../models/books-small",
                                           "../share/millrace/models/books-small"};
    for (unsigned i = 0; i < sizeof relative / sizeof *relative; i++) {
        char candidate[PATH_MAX];
        if (join(candidate, here, relative[i]) && has_config(candidate) && realpath(candidate, path))
            return true;
    }
    snprintf(path, PATH_MAX, "%s/models/books-small", MILLRACE_SOURCE_DIRECTORY);
    return has_config(path);
}

enum status place_of_model(const char *given, char path[PATH_MAX], struct error *error)
{
    char here[PATH_MAX];
    if (!given && getenv("MILLRACE_MODEL") && *getenv("MILLRACE_MODEL"))
        given = getenv("MILLRACE_MODEL");
    if (given) {
        if (!has_config(given) || !realpath(given, path))
            return error_set(error, STATUS_NOT_FOUND,
                             "%s is no model directory: it has no readable config.json", given);
        return STATUS_OK;
    }
    enum status status = own_directory(here, error);
    if (status == STATUS_OK && !find_demonstration(here, path))
        status = error_set(
            error, STATUS_NOT_FOUND,
            "no model: name a directory with --model-dir DIR or MILLRACE_MODEL=DIR "
            "(`millrace convert` makes one from a checkpoint, `millrace random` one to try things with)");
    return status;
}
