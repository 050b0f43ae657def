#include "common/temporary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum status template_of(char path[TEMPORARY_ROOM], const char *name, struct error *error)
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || *parent == '\0')
        parent = "/tmp";
    if (snprintf(path, TEMPORARY_ROOM, "%s/millrace-%s-XXXXXX", parent, name) < TEMPORARY_ROOM)
        return STATUS_OK;
    return error_set(error, STATUS_OUT_OF_RANGE, "TMPDIR has %zu characters; use a shorter one",
                     strlen(parent));
}

static enum status cannot(const char *what, const char *path, struct error *error)
{
    return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                     "cannot make a %s %s: %s; set TMPDIR to another directory", what, path, strerror(errno));
}

enum status temporary_directory(char path[TEMPORARY_ROOM], const char *name, struct error *error)
{
    enum status status = template_of(path, name, error);
    if (status == STATUS_OK && mkdtemp(path) == NULL)
        status = cannot("directory", path, error);
    return status;
}

enum status temporary_file(char path[TEMPORARY_ROOM], const char *name, struct error *error)
{
    enum status status = template_of(path, name, error);
    if (status != STATUS_OK)
        return status;
    int file = mkstemp(path);
    if (file < 0)
        return cannot("file", path, error);
    close(file);
    return STATUS_OK;
}
