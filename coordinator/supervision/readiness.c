#include "coordinator/supervision/readiness.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

static void write_file(const char *path, const char *address)
{
    char temporary[PATH_MAX];
    snprintf(temporary, sizeof temporary, "%s.%d", path, (int)getpid());
    FILE *file = fopen(temporary, "we");
    bool written = file && fprintf(file, "%s\n", address) > 0;
    if (file)
        written = !fclose(file) && written;
    if (!written || rename(temporary, path)) /* a reader never sees half a line */
        log_error("%s: %s", path, strerror(errno));
}

static void write_descriptor(int descriptor, const char *address)
{
    if (dprintf(descriptor, "%s\n", address) < 0)
        log_error("--ready-fd %d: %s", descriptor, strerror(errno));
    close(descriptor);
}

void readiness_tell(struct readiness *readiness, const char *address)
{
    if (readiness->told)
        return;
    readiness->told = true;
    if (readiness->file)
        write_file(readiness->file, address);
    if (readiness->descriptor >= 0)
        write_descriptor(readiness->descriptor, address);
}

bool readiness_awaited(const struct readiness *readiness)
{
    return !readiness->told && (readiness->file || readiness->descriptor >= 0);
}
