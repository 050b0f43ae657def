#include "cli/generate/input.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file_read.h"
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

/* A last line break is the file's, not the text's. */
static void cut_line_break(char *text, size_t *size_bytes)
{
    if (*size_bytes > 0 && text[*size_bytes - 1] == '\n')
        text[--*size_bytes] = '\0';
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
        status = file_read(file, FILE_ANY, INPUT_BYTES_MAX, &read, &size, error);
    } else if (from_standard_input) {
        where = "standard input";
        status = file_read_descriptor(STDIN_FILENO, where, INPUT_BYTES_MAX, &read, &size, error);
    } else {
        read = strdup(argument ? argument : "");
        size = read ? strlen(read) : 0;
        if (!read)
            status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the text");
    }
    if (status == STATUS_OK && (file || from_standard_input))
        cut_line_break(read, &size);
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
