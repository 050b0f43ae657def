#include "cli/generate/input.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/utf8.h"

enum { INPUT_BYTES_MAX = 64 << 20 };

static enum status check(const char *text, size_t size_bytes, const char *where, struct error *error)
{
    size_t valid = utf8_valid_size(text, size_bytes);
    if (valid < size_bytes)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s is not valid UTF-8: byte 0x%02X at offset %zu",
                         where, (unsigned char)text[valid], valid);
    const char *nul = memchr(text, '\0', size_bytes);
    if (nul)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s holds a NUL at offset %zu; it must be text",
                         where, (size_t)(nul - text));
    return STATUS_OK;
}

static enum status read_stream(FILE *stream, const char *where, char **text, size_t *size_bytes,
                               struct error *error)
{
    char *read = NULL;
    size_t n = 0, capacity = 0, got;
    do {
        if (capacity - n < 2) {
            capacity = 2 * capacity + 65536;
            char *larger = realloc(read, capacity);
            if (!larger || capacity > INPUT_BYTES_MAX) {
                free(larger ? larger : read);
                return error_set(error, STATUS_INVALID_ARGUMENT, "%s is longer than %d MiB", where,
                                 INPUT_BYTES_MAX >> 20);
            }
            read = larger;
        }
        got = fread(read + n, 1, capacity - n - 1, stream);
        n += got;
    } while (got > 0);
    if (ferror(stream)) {
        free(read);
        return error_set(error, STATUS_UNKNOWN, "%s cannot be read: %s", where, strerror(errno));
    }
    n -= n > 0 && read[n - 1] == '\n';
    read[n] = '\0';
    *text = read;
    *size_bytes = n;
    return STATUS_OK;
}

static enum status read_file(const char *file, char **text, size_t *size_bytes, struct error *error)
{
    FILE *stream = fopen(file, "rb");
    if (!stream)
        return error_set(error, STATUS_NOT_FOUND, "%s cannot be opened: %s", file, strerror(errno));
    enum status status = read_stream(stream, file, text, size_bytes, error);
    fclose(stream);
    return status;
}

enum status input_read(const char *argument, const char *file, char **text, size_t *size_bytes,
                       struct error *error)
{
    const char *where = file ? file : "the text";
    bool from_standard_input = argument ? !strcmp(argument, "-") : !file && !isatty(STDIN_FILENO);
    char *read = NULL;
    size_t size = 0;
    enum status status = STATUS_OK;
    if (file) {
        status = read_file(file, &read, &size, error);
    } else if (from_standard_input) {
        status = read_stream(stdin, where = "standard input", &read, &size, error);
    } else {
        read = strdup(argument ? argument : "");
        size = read ? strlen(read) : 0;
        if (!read)
            status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the text");
    }
    if (status == STATUS_OK)
        status = check(read, size, where, error);
    if (status != STATUS_OK) {
        free(read);
        return status;
    }
    *text = read;
    *size_bytes = size;
    return STATUS_OK;
}
