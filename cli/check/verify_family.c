#include "cli/check/verify_family.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/convert/convert.h"
#include "common/model/layout.h"

enum { PATH_ROOM = 4096 };

static void find(json_t *findings, const char *file, const struct convert_report *report,
                 const struct error *error)
{
    if (error->status != STATUS_OK)
        json_array_append_new(findings,
                              json_pack("{s:s, s:b, s:s}", "file", file, "ok", 0, "note", error->text));
    else
        json_array_append_new(
            findings, json_pack("{s:s, s:s, s:i, s:s, s:f, s:f, s:b, s:b, s:s}", "file", file, "check",
                                "converts", "count", model_layout_count(&report->config), "unit", "tensors",
                                "value", 0.0, "limit", 0.0, "at_least", 0, "ok", 1, "note", report->entry));
}

/* Converts DIRECTORY/FILE into CONVERTED/NAME. */
static void convert(const char *directory, const char *converted, const char *file, const char *name,
                    const char *family, const char *weights, json_t *findings)
{
    char from[PATH_ROOM], to[PATH_ROOM];
    struct convert_options options = convert_defaults();
    struct convert_report report = {0};
    struct error error = {0};
    snprintf(from, sizeof from, "%s/%s", directory, file);
    snprintf(to, sizeof to, "%s/%s", converted, name);
    options.checkpoint = from;
    options.directory = to;
    options.name = "golden";
    options.family = family;
    options.weights = weights;
    error.status = convert_checkpoint(&options, &report, &error);
    find(findings, file, &report, &error);
}

static void convert_all(const char *directory, const char *converted, json_t *manifest, json_t *findings)
{
    static const char *const weights[] = {"raw", "ema"};
    const char *name, *family = json_string_value(json_object_get(manifest, "family"));
    json_t *entry;
    char file[256], model[256];
    json_object_foreach(json_object_get(manifest, "models"), name, entry)
    {
        const char *format = json_string_value(json_object_get(entry, "format"));
        if (!format || strcmp(format, "pytorch_model.bin") != 0)
            continue;
        snprintf(file, sizeof file, "%s/pytorch_model.bin", name);
        convert(directory, converted, file, name, family, NULL, findings);
    }
    json_object_foreach(json_object_get(manifest, "checkpoints"), name, entry)
    {
        for (int i = 0; i < 2; i++) {
            snprintf(model, sizeof model, "%s.%s", name, weights[i]);
            convert(directory, converted, name, model, family, weights[i], findings);
        }
    }
}

enum status verify_family_convert(const char *directory, char converted[TEMPORARY_ROOM], json_t *findings,
                                  struct error *error)
{
    char path[PATH_ROOM];
    enum status status = STATUS_OK;
    snprintf(path, sizeof path, "%s/manifest.json", directory);
    json_t *manifest = json_load_file(path, 0, NULL);
    converted[0] = '\0';
    if (json_is_string(json_object_get(manifest, "family"))) {
        status = temporary_directory(converted, "verify", error);
        if (status == STATUS_OK)
            convert_all(directory, converted, manifest, findings);
    }
    json_decref(manifest);
    return status;
}

static void remove_model(const char *directory)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    char path[PATH_ROOM + 32];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        unlink(path);
    }
    rmdir(directory);
}

void verify_family_remove(const char *converted)
{
    DIR *directory = converted[0] ? opendir(converted) : NULL;
    for (struct dirent *item; directory && (item = readdir(directory));) {
        char path[PATH_ROOM];
        if (item->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", converted, item->d_name);
        remove_model(path);
    }
    if (directory)
        closedir(directory);
    if (converted[0])
        rmdir(converted);
}
