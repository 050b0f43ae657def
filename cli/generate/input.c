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

/* What is the file's and not the text's: a byte order mark before it, a last line break behind it, of Windows
 * too. */
static void cut_marks(char *text, size_t *size_bytes)
{
    if (*size_bytes >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
        memmove(text, text + 3, (*size_bytes -= 3) + 1);
    if (*size_bytes == 0 || text[*size_bytes - 1] != '\n')
        return;
    text[--*size_bytes] = '\0';
    if (*size_bytes > 0 && text[*size_bytes - 1] == '\r')
        text[--*size_bytes] = '\0';
}

enum status input_read(const char *argument, const char *file, char **text, size_t *size_bytes,
                       struct error *error)
{
    const char *where = file ? file : "the text";
    bool is_dash = (argument && !strcmp(argument, "-")) || (file && !strcmp(file, "-"));
    bool from_standard_input = is_dash || (!argument && !file && !isatty(STDIN_FILENO));
    char *read = NULL;
    size_t size = 0;
    enum status status = STATUS_OK;
    if (file && !from_standard_input) {
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
        cut_marks(read, &size);
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
