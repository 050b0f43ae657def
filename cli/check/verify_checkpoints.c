#include "cli/check/verify_checkpoints.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/convert/compare.h"
#include "cli/convert/convert.h"
#include "cli/convert/networks.h"
#include "cli/convert/state_dict.h"
#include "common/temporary.h"

enum { PATH_ROOM = 4096, NAME_ROOM = 256 };

/* One checkpoint being checked. */
struct checkpoint_check {
    const char *directory, *file;
    const json_t *manifest;
    json_t *findings;
    struct checkpoint *checkpoint;
};

static void path_of(const char *directory, const char *file, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%s", directory, file);
}

static void find_right(const struct checkpoint_check *check, const char *what, int count, const char *unit,
                       const char *note)
{
    json_array_append_new(check->findings,
                          json_pack("{s:s, s:s, s:i, s:s, s:f, s:f, s:b, s:b, s:s*}", "file", check->file,
                                    "check", what, "count", count, "unit", unit, "value", 0.0, "limit", 0.0,
                                    "at_least", 0, "ok", 1, "note", note));
}

static void find_wrong(const struct checkpoint_check *check, const char *reason)
{
    json_array_append_new(check->findings,
                          json_pack("{s:s, s:b, s:s}", "file", check->file, "ok", 0, "note", reason));
}

static bool begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool ends(const char *name, const char *suffix)
{
    size_t length = strlen(name), tail = strlen(suffix);
    return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

/* --- what the manifest says about it --- */

static bool is_there(const char *directory, const char *file)
{
    char path[PATH_ROOM];
    path_of(directory, file, path);
    return access(path, R_OK) == 0;
}

/* The keys that the manifest lists are those of the checkpoint, and the step is the step. */
static enum status compare_top_level(const struct checkpoint_check *check, const json_t *top_level,
                                     struct error *error)
{
    const struct pickle_value *root = checkpoint_root(check->checkpoint);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)top_level, key, value)
    {
        const struct pickle_value *found = pickle_get(root, key);
        if (!found)
            return error_set(error, STATUS_DATA_LOSS, "manifest.json lists \"%s\", the checkpoint has none",
                             key);
        if (json_is_string(value) && found->kind == PICKLE_INTEGER &&
            found->integer != strtoll(json_string_value(value), NULL, 10))
            return error_set(error, STATUS_DATA_LOSS, "\"%s\" is %" PRId64 " instead of %s", key,
                             found->integer, json_string_value(value));
    }
    if (root->kind == PICKLE_DICT && root->items.n != 2 * json_object_size(top_level))
        return error_set(error, STATUS_DATA_LOSS, "%zu entries instead of the manifest's %zu",
                         root->items.n / 2, json_object_size(top_level));
    return STATUS_OK;
}

static void check_top_level(const struct checkpoint_check *check)
{
    const json_t *entry = json_object_get(json_object_get(check->manifest, "checkpoints"), check->file);
    const json_t *top_level = json_object_get(entry, "top_level");
    struct error error;
    if (!top_level)
        return;
    if (compare_top_level(check, top_level, &error))
        find_wrong(check, error.text);
    else
        find_right(check, "top-level entries", (int)json_object_size(top_level), "entries", NULL);
}

/* --- tensors that are no model --- */

static enum status compare_loose(const struct checkpoint_check *check, const struct state_dict *state,
                                 const struct tensors *expected, struct error *error)
{
    if (state->n != (size_t)tensors_count(expected))
        return error_set(error, STATUS_DATA_LOSS, "%zu tensors instead of %d", state->n,
                         tensors_count(expected));
    for (int i = 0; i < tensors_count(expected); i++) {
        const struct tensor *tensor = tensors_at(expected, i);
        const struct pickle_tensor *found = state_dict_find(state, tensor->name);
        if (!found)
            return error_set(error, STATUS_DATA_LOSS, "tensor \"%s\" is missing", tensor->name);
        enum status status = compare_checkpoint_tensor(check->checkpoint, found, tensor, error);
        if (status)
            return status;
    }
    return STATUS_OK;
}

/* ckpt_NAME.pth and expect_NAME.safetensors belong together. */
static void expected_file(const char *checkpoint, char name[NAME_ROOM])
{
    const char *stem = checkpoint + strlen("ckpt_");
    snprintf(name, NAME_ROOM, "expect_%.*s.safetensors", (int)(strlen(stem) - strlen(".pth")), stem);
}

static enum status check_loose(const struct checkpoint_check *check, const char *entry,
                               const struct state_dict *state, const char *expected_name, struct error *error)
{
    char path[PATH_ROOM], what[NAME_ROOM];
    struct tensors *expected;
    path_of(check->directory, expected_name, path);
    enum status status = tensors_open_file(path, &expected, error);
    if (status)
        return status;
    status = compare_loose(check, state, expected, error);
    snprintf(what, sizeof what, "%s decodes, bit for bit", entry);
    if (!status)
        find_right(check, what, tensors_count(expected), "tensors", expected_name);
    tensors_close(expected);
    return status;
}

/* --- models --- */

/* Could this entry's network be in that file? "student_ema_model" is not in one that says teacher, or raw. */
static bool fits_by_name(const char *entry, const char *weights)
{
    bool average = strstr(entry, "ema") != NULL;
    if (strstr(entry, "teacher"))
        return strstr(weights, "teacher") != NULL;
    if (strstr(entry, "student"))
        return strstr(weights, "student") != NULL && !strstr(weights, average ? "raw" : "ema");
    return true;
}

/* The weights file with exactly these tensors; empty where there is none. */
static void find_equal(const struct checkpoint_check *check, const char *entry, const struct tensors *made,
                       char name[NAME_ROOM])
{
    DIR *directory = opendir(check->directory);
    name[0] = '\0';
    for (struct dirent *item; directory && !name[0] && (item = readdir(directory));) {
        char path[PATH_ROOM];
        struct tensors *weights;
        struct error error;
        if (!begins(item->d_name, "weights_") || !fits_by_name(entry, item->d_name))
            continue;
        path_of(check->directory, item->d_name, path);
        if (tensors_open_file(path, &weights, &error))
            continue;
        if (!compare_tensors(weights, made, &error))
            snprintf(name, NAME_ROOM, "%s", item->d_name);
        tensors_close(weights);
    }
    if (directory)
        closedir(directory);
}

static void remove_model(const char *directory)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    char path[PATH_ROOM];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        path_of(directory, files[i], path);
        unlink(path);
    }
    rmdir(directory);
}

static enum status compare_made(const struct checkpoint_check *check,
                                const struct checkpoint_network *network, const char *directory,
                                struct error *error)
{
    char name[NAME_ROOM], what[NAME_ROOM];
    struct tensors *made;
    enum status status = tensors_open(directory, &made, error);
    if (status)
        return status;
    find_equal(check, network->entry, made, name);
    snprintf(what, sizeof what, "%s converts, bit for bit", network->entry);
    if (name[0])
        find_right(check, what, tensors_count(made), "tensors", name);
    else
        status = error_set(error, STATUS_DATA_LOSS, "%s equals none of the weights_*.safetensors here",
                           network->entry);
    tensors_close(made);
    return status;
}

static enum status check_model(const struct checkpoint_check *check, const struct checkpoint_network *network,
                               struct error *error)
{
    char path[PATH_ROOM], directory[TEMPORARY_ROOM];
    struct convert_options options = convert_defaults();
    struct convert_report report;
    path_of(check->directory, check->file, path);
    options.checkpoint = path;
    options.directory = directory;
    options.weights = network->option;
    options.name = "golden";
    enum status status = temporary_directory(directory, "verify", error);
    if (status)
        return status;
    status = convert_checkpoint(&options, &report, error);
    if (!status)
        status = compare_made(check, network, directory, error);
    remove_model(directory);
    return status;
}

/* --- */

static enum status check_network(const struct checkpoint_check *check,
                                 const struct checkpoint_network *network, const struct pickle_value *dict,
                                 struct error *error)
{
    struct state_dict state = {0};
    char expected[NAME_ROOM];
    expected_file(check->file, expected);
    if (!is_there(check->directory, expected))
        return check_model(check, network, error);
    enum status status = state_dict_read(dict, &state, error);
    if (!status)
        status = check_loose(check, network->entry, &state, expected, error);
    state_dict_release(&state);
    return status;
}

static void check_checkpoint(struct checkpoint_check *check)
{
    char path[PATH_ROOM];
    struct error error;
    int n = 0;
    path_of(check->directory, check->file, path);
    if (checkpoint_open(path, &check->checkpoint, &error)) {
        find_wrong(check, error.text);
        return;
    }
    check_top_level(check);
    for (int i = 0; i < N_NETWORKS; i++) {
        const struct pickle_value *dict = network_find(&networks[i], checkpoint_root(check->checkpoint));
        n += dict != NULL;
        if (dict && check_network(check, &networks[i], dict, &error))
            find_wrong(check, error.text);
    }
    if (n == 0)
        find_wrong(check, "there is no network in it that could be converted");
    checkpoint_close(check->checkpoint);
}

static int is_checkpoint(const struct dirent *entry)
{
    return begins(entry->d_name, "ckpt_") && ends(entry->d_name, ".pth");
}

/* A file of expectations is checked with its checkpoint; one without is not passed over. */
static int is_unclaimed(const char *directory, const char *name)
{
    char checkpoint[NAME_ROOM];
    const char *stem = name + strlen("expect_");
    if (!begins(name, "expect_") || !ends(name, ".safetensors"))
        return 0;
    snprintf(checkpoint, sizeof checkpoint, "ckpt_%.*s.pth", (int)(strlen(stem) - strlen(".safetensors")),
             stem);
    return !is_there(directory, checkpoint);
}

static int is_of_checkpoints(const struct dirent *entry)
{
    return is_checkpoint(entry) || begins(entry->d_name, "expect_");
}

void verify_checkpoints(const char *directory, json_t *findings)
{
    char path[PATH_ROOM];
    struct dirent **entries;
    path_of(directory, "manifest.json", path);
    json_t *manifest = json_load_file(path, 0, NULL);
    int n = scandir(directory, &entries, is_of_checkpoints, alphasort);
    for (int i = 0; i < n; i++) {
        struct checkpoint_check check = {directory, entries[i]->d_name, manifest, findings, NULL};
        if (is_checkpoint(entries[i]))
            check_checkpoint(&check);
        else if (is_unclaimed(directory, entries[i]->d_name))
            find_wrong(&check, "there is no checkpoint of that name to compare with");
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    json_decref(manifest);
}
