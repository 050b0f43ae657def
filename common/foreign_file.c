#include "common/foreign_file.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define MAGIC(bytes) bytes, sizeof(bytes) - 1

static const struct {
    const char *magic;
    size_t size_bytes, offset;
    const char *sentence;
} kinds[] = {
    {MAGIC("version https://git-lfs"), 0,
     "is a Git LFS pointer, not the file that it stands for: `git lfs pull` fetches that"},
    {MAGIC("PK\3\4"), 0, "is a zip archive: unpack it first"},
    {MAGIC("\x1F\x8B"), 0, "is compressed by gzip: unpack it first (gunzip)"},
    {MAGIC("\x28\xB5\x2F\xFD"), 0, "is compressed by zstd: unpack it first (unzstd)"},
    {MAGIC("\xFD"
           "7zXZ"),
     0, "is compressed by xz: unpack it first (unxz)"},
    {MAGIC("BZh"), 0, "is compressed by bzip2: unpack it first (bunzip2)"},
    {MAGIC("ustar"), 257, "is a tar archive: unpack it first (tar -xf)"},
    {MAGIC("GGUF"), 0,
     "is a GGUF file, a format of other engines; Millrace reads safetensors and torch.save files"},
    {MAGIC("\x89HDF"), 0, "is an HDF5 file; Millrace reads safetensors and torch.save files"},
    {MAGIC("\x93NUMPY"), 0, "is a numpy array; Millrace reads safetensors and torch.save files"},
    {MAGIC("\x80\2\x8A\x0Al\xFC\x9C"
           "F\xF9 j\xA8P\x19"),
     0, "was saved in the format of torch before 1.6: load it with torch and save it again"},
    {MAGIC("\x80\2"), 0,
     "is a plain pickle, which torch.save does not write: load it and save it with torch.save"},
    {MAGIC("\x80\4"), 0,
     "is a plain pickle, which torch.save does not write: load it and save it with torch.save"},
    {MAGIC("\xFF\xFE"), 0, "is text in UTF-16: save it as UTF-8"},
};

/* A safetensors file begins with its header's length in 8 bytes and a JSON object. */
static bool is_safetensors(const char *bytes, size_t size_bytes)
{
    return size_bytes > 9 && bytes[8] == '{' && memcmp(bytes + 4, "\0\0\0\0", 4) == 0;
}

static bool is_html(const char *bytes, size_t size_bytes)
{
    static const char *const begins[] = {"<!doctype html", "<html", "<head", "<?xml"};
    while (size_bytes && isspace((unsigned char)*bytes))
        bytes++, size_bytes--;
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (size_bytes >= strlen(begins[i]) && !strncasecmp(bytes, begins[i], strlen(begins[i])))
            return true;
    return false;
}

const char *foreign_file(const void *bytes, size_t size_bytes)
{
    const char *begin = bytes;
    if (size_bytes == 0)
        return "is empty: download or write it again";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (size_bytes >= kinds[i].offset + kinds[i].size_bytes &&
            !memcmp(begin + kinds[i].offset, kinds[i].magic, kinds[i].size_bytes))
            return kinds[i].sentence;
    if (is_html(begin, size_bytes))
        return "is a web page, perhaps of an error or of a log-in, not the file: look into it and download "
               "it again";
    if (is_safetensors(begin, size_bytes))
        return "is a safetensors file, not what is read here: a model directory holds it as "
               "model.safetensors";
    return NULL;
}
