#include "common/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_BYTES = 1 << 16 };

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

enum status file_open(const char *path, enum file_kind kind, int *descriptor, struct error *error)
{
    int opened = open(path, O_RDONLY | O_CLOEXEC | (kind == FILE_REGULAR ? O_NONBLOCK : 0));
    if (opened < 0)
        return error_set(error, status_of_errno(errno), "%s: %m", path);
    struct stat found;
    bool known = !fstat(opened, &found);
    if (!known || (kind == FILE_REGULAR ? !S_ISREG(found.st_mode) : S_ISDIR(found.st_mode))) {
        close(opened);
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %s", path,
                         kind == FILE_REGULAR ? "not a regular file" : "a directory, not a file");
    }
    *descriptor = opened;
    return STATUS_OK;
}

/* The bytes that have been read so far. */
struct content {
    char *bytes;
    size_t n, capacity;
};

/* The old bytes are overwritten: they may be a key. */
static bool grow(struct content *content, size_t capacity)
{
    char *larger = malloc(capacity);
    if (!larger)
        return false;
    if (content->bytes) {
        memcpy(larger, content->bytes, content->n);
        explicit_bzero(content->bytes, content->n);
        free(content->bytes);
    }
    content->bytes = larger;
    content->capacity = capacity;
    return true;
}

/* The file's size where it has one; it may grow while we read. */
static size_t expected_bytes(int descriptor)
{
    struct stat found;
    if (fstat(descriptor, &found) || !S_ISREG(found.st_mode) || found.st_size <= 0)
        return FIRST_BYTES;
    return (size_t)found.st_size;
}

static enum status read_more(int descriptor, const char *where, struct content *content, ssize_t *n,
                             struct error *error)
{
    if (content->n + 1 >= content->capacity && !grow(content, 2 * content->capacity))
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory for %zu bytes", where,
                         2 * content->capacity);
    do
        *n = read(descriptor, content->bytes + content->n, content->capacity - content->n - 1);
    while (*n < 0 && errno == EINTR);
    if (*n < 0)
        return error_set(error, STATUS_DATA_LOSS, "%s: cannot read the file: %m", where);
    content->n += (size_t)*n;
    return STATUS_OK;
}

static enum status refuse_size(const char *where, size_t most_bytes, struct error *error)
{
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s: the file is too large; at most %zu bytes are read",
                     where, most_bytes);
}

enum status file_read_descriptor(int descriptor, const char *where, size_t most_bytes, char **bytes,
                                 size_t *size_bytes, struct error *error)
{
    struct content content = {0};
    size_t expected = expected_bytes(descriptor);
    ssize_t n = 1;
    if (expected > FIRST_BYTES && expected > most_bytes)
        return refuse_size(where, most_bytes, error);
    enum status status = STATUS_OK;
    if (!grow(&content, expected + 2)) /* a byte to see that there is no more, and the NUL */
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory for %zu bytes", where, expected);
    while (status == STATUS_OK && n > 0 && content.n <= most_bytes)
        status = read_more(descriptor, where, &content, &n, error);
    if (status == STATUS_OK && content.n > most_bytes)
        status = refuse_size(where, most_bytes, error);
    if (status != STATUS_OK) {
        explicit_bzero(content.bytes, content.n);
        free(content.bytes);
        return status;
    }
    content.bytes[content.n] = '\0';
    *bytes = content.bytes;
    *size_bytes = content.n;
    return STATUS_OK;
}

enum status file_read(const char *path, enum file_kind kind, size_t most_bytes, char **bytes,
                      size_t *size_bytes, struct error *error)
{
    int descriptor;
    enum status status = file_open(path, kind, &descriptor, error);
    if (status != STATUS_OK)
        return status;
    status = file_read_descriptor(descriptor, path, most_bytes, bytes, size_bytes, error);
    close(descriptor);
    return status;
}
