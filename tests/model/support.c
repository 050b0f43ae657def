#include "tests/model/support.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *golden_path(const char *name, char path[PATH_ROOM])
{
    const char *shared = getenv("MILLRACE_SHARED");
    ck_assert_msg(shared != NULL, "MILLRACE_SHARED is not set");
    snprintf(path, PATH_ROOM, "%s/golden/public/%s", shared, name);
    return path;
}

void directory_make(char path[PATH_ROOM])
{
    const char *parent = getenv("TMPDIR");
    if (!parent) /* memory, where there is such a directory: files are synced, which takes its time on a disk
                  */
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, PATH_ROOM, "%s/millrace-model-XXXXXX", parent);
    ck_assert_ptr_nonnull(mkdtemp(path));
}

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *place)
{
    (void)found, (void)kind, (void)place;
    return remove(path);
}

void directory_remove(const char *path)
{
    ck_assert_int_eq(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

const char *path_in(const char *directory, const char *name, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%s", directory, name);
    return path;
}

void file_write(const char *path, const void *bytes, size_t size_bytes)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size_bytes, file), size_bytes);
    ck_assert_int_eq(fclose(file), 0);
}

void text_write(const char *directory, const char *name, const char *text)
{
    char path[PATH_ROOM];
    file_write(path_in(directory, name, path), text, strlen(text));
}

char *file_load(const char *path, size_t *size_bytes)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *size_bytes = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size_bytes + 1);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(fread(bytes, 1, *size_bytes, file), *size_bytes);
    bytes[*size_bytes] = '\0';
    fclose(file);
    return bytes;
}

int file_exists(const char *directory, const char *name)
{
    char path[PATH_ROOM];
    return access(path_in(directory, name, path), F_OK) == 0;
}

void assert_refused(enum status is, enum status wanted, const struct error *error, const char *words)
{
    ck_assert_msg(is == wanted, "%s instead of %s (%s; should say \"%s\")", status_name(is),
                  status_name(wanted), is ? error->text : "no error", words);
    ck_assert_msg(strstr(error->text, words) != NULL, "\"%s\" does not say \"%s\"", error->text, words);
    ck_assert_int_eq(error->status, wanted);
}

struct model_config golden_config(const char *name)
{
    static const struct {
        const char *name;
        enum architecture architecture;
        enum source source;
        int vocabulary, hidden, n_heads, n_blocks, condition;
    } models[] = {
        {"teacher", ARCHITECTURE_DFM, SOURCE_UNIFORM, 512, 64, 4, 3, 32},
        {"student", ARCHITECTURE_FS_DFM, SOURCE_UNIFORM, 512, 64, 4, 3, 32},
        {"masked_student", ARCHITECTURE_FS_DFM, SOURCE_MASK, 128, 32, 2, 2, 16},
        {"nano", ARCHITECTURE_FS_DFM, SOURCE_UNIFORM, 40, 16, 2, 1, 8},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (strcmp(models[i].name, name) != 0)
            continue;
        struct model_config config = {.architecture = models[i].architecture,
                                      .source = models[i].source,
                                      .vocabulary = models[i].vocabulary,
                                      .hidden = models[i].hidden,
                                      .n_heads = models[i].n_heads,
                                      .n_blocks = models[i].n_blocks,
                                      .condition = models[i].condition,
                                      .scheduler_exponent = 1,
                                      .trained_length = 48,
                                      .max_length = 48,
                                      .default_steps = 8,
                                      .max_steps = 1024};
        snprintf(config.name, sizeof config.name, "%s", name);
        struct error error;
        ck_assert_int_eq(model_config_complete(&config, &error), STATUS_OK);
        return config;
    }
    ck_abort_msg("no golden model \"%s\"", name);
}

unsigned char *safetensors_make(const char *json, size_t n_data, size_t *size_bytes)
{
    const uint64_t length = strlen(json);
    *size_bytes = sizeof length + length + n_data;
    unsigned char *bytes = malloc(*size_bytes);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, &length, sizeof length);
    memcpy(bytes + sizeof length, json, length);
    for (size_t i = 0; i < n_data; i++)
        bytes[sizeof length + length + i] = (unsigned char)i;
    return bytes;
}

void assert_same_tensors(const struct tensors *left, const struct tensors *right)
{
    ck_assert_int_gt(tensors_count(left), 0);
    ck_assert_int_eq(tensors_count(left), tensors_count(right));
    for (int i = 0; i < tensors_count(left); i++) {
        const struct tensor *a = tensors_at(left, i), *b = tensors_find(right, a->name);
        ck_assert_msg(b != NULL, "no tensor %s", a->name);
        ck_assert_int_eq(a->dtype, b->dtype);
        ck_assert_int_eq(a->n_dimensions, b->n_dimensions);
        ck_assert_mem_eq(a->shape, b->shape, (size_t)a->n_dimensions * sizeof *a->shape);
        ck_assert_uint_eq(a->size_bytes, b->size_bytes);
        ck_assert_msg(memcmp(a->data, b->data, a->size_bytes) == 0, "tensor %s differs", a->name);
    }
}
