#include "worker/verify/verify.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "worker/verify/checks.h"
#include "worker/verify/family.h"

/* A file belongs to the first kind whose beginning and end its name has. */
static const struct kind {
    const char *name, *prefix, *suffix;
    golden_check
        *check; /* NULL: needs the converter, which a worker does not have; `millrace verify` does it */
} kinds[] = {
    {"weights", "weights_", ".safetensors", check_weights},
    {"forward", "forward_", ".safetensors", check_forward},
    {"trace", "trace_", ".safetensors", check_trace},
    {"grids", "time_grids", ".safetensors", check_grids},
    {"steps", "step_", ".safetensors", check_steps},
    {"final_step", "final_step", ".safetensors", check_final_step},
    {"trajectories", "traj_", ".safetensors", check_trajectory},
    {"draws", "draws_", ".safetensors", check_draws},
    {"checkpoints", "ckpt_", ".pth", NULL},
    {"checkpoints", "expect_", ".safetensors", NULL},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

const char *verify_kind(int index)
{
    return index >= 0 && index < N_KINDS && kinds[index].check ? kinds[index].name : NULL;
}

static int kind_of(const char *file)
{
    for (int i = 0; i < N_KINDS; i++)
        if (name_begins(file, kinds[i].prefix) && name_ends(file, kinds[i].suffix) &&
            strlen(file) >= strlen(kinds[i].prefix) + strlen(kinds[i].suffix))
            return i;
    return -1;
}

static bool is_wanted(const struct verify_options *options, int kind)
{
    return !options->only || (kind >= 0 && !strcmp(kinds[kind].name, options->only));
}

static void check_file(const struct golden *golden, const struct verify_options *options, const char *file,
                       struct report *report)
{
    int kind = kind_of(file);
    struct error error = {0};
    if (!is_wanted(options, kind))
        return;
    if (kind >= 0 && !kinds[kind].check) {
        report_left(report, file);
        return;
    }
    report->n_files++;
    if (kind < 0)
        report_refusal(report, file, "unknown: no check knows files of this name");
    else if (kinds[kind].check(golden, file, report, &error) != STATUS_OK)
        report_refusal(report, file, error.text);
}

/* Orders files by kind, and the files of a kind by name. Files of no known kind come last. */
static int order(const void *left, const void *right)
{
    const char *a = (*(const struct dirent *const *)left)->d_name,
               *b = (*(const struct dirent *const *)right)->d_name;
    unsigned kind_a = (unsigned)kind_of(a), kind_b = (unsigned)kind_of(b);
    return kind_a != kind_b ? (kind_a < kind_b ? -1 : 1) : strcmp(a, b);
}

static int is_content(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && strcmp(entry->d_name, "manifest.json") != 0 &&
           !name_begins(entry->d_name, "README");
}

static bool is_there(struct dirent **entries, int n, const char *file)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(entries[i]->d_name, file))
            return true;
    return false;
}

static void miss(const struct verify_options *options, struct dirent **entries, int n, const char *file,
                 struct report *report)
{
    if (is_there(entries, n, file) || !is_wanted(options, kind_of(file)))
        return;
    report->n_files++;
    report_refusal(report, file, "missing: manifest.json names it");
}

/* Reports each file that the manifest names and that is missing. */
static void miss_files(const struct golden *golden, const struct verify_options *options,
                       struct dirent **entries, int n, struct report *report)
{
    static const char *const sections[] = {"files", "checkpoints"};
    const char *name, *key;
    json_t *model, *value;
    for (int i = 0; i < 2; i++)
        json_object_foreach(json_object_get(golden->manifest, sections[i]), name, value)
        {
            miss(options, entries, n, name, report);
        }
    json_object_foreach(json_object_get(golden->manifest, "trajectories"), name, value)
    {
        char file[256];
        snprintf(file, sizeof file, "traj_%s.safetensors", name);
        if (!golden_entry(golden, "files", file))
            miss(options, entries, n, file, report);
    }
    json_object_foreach(json_object_get(golden->manifest, "models"), name, model)
    {
        json_object_foreach(model, key, value)
        {
            const char *file = name_begins(key, "weights") ? json_string_value(value) : NULL;
            if (file && !golden_entry(golden, "files", file))
                miss(options, entries, n, file, report);
        }
    }
}

static enum status check_files(const struct golden *golden, const struct verify_options *options,
                               struct report *report, struct error *error)
{
    struct dirent **entries = NULL;
    int n = scandir(options->directory, &entries, is_content, NULL);
    enum status status =
        n >= 0 ? STATUS_OK
               : error_set(error, STATUS_NOT_FOUND, "%s: %s", options->directory, strerror(errno));
    status = collective_agree(options->collective, status, error);
    if (status == STATUS_OK && n > 0)
        qsort(entries, (size_t)n, sizeof *entries, order);
    for (int i = 0; i < n && status == STATUS_OK; i++)
        check_file(golden, options, entries[i]->d_name, report);
    if (status == STATUS_OK)
        miss_files(golden, options, entries, n, report);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return status;
}

enum status verify_run(const struct verify_options *options, struct report *report, struct error *error)
{
    struct golden golden = {.directory = options->directory,
                            .converted = options->converted,
                            .backend = options->backend,
                            .precision = options->precision,
                            .gpu = options->gpu,
                            .n_threads = options->n_threads,
                            .collective = options->collective};
    enum status status = collective_agree(options->collective, golden_open(&golden, error), error);
    if (options->collective->rank != 0)
        report->out = NULL;
    if (status == STATUS_OK && json_object_get(golden.manifest, "family"))
        status = verify_family(&golden, options, report, error);
    else if (status == STATUS_OK)
        status = check_files(&golden, options, report, error);
    if (status == STATUS_OK && report->n_checks == 0)
        status = error_set(error, STATUS_NOT_FOUND, "%s: there is nothing to check%s%s", options->directory,
                           options->only ? " of the kind " : "", options->only ? options->only : "");
    if (status == STATUS_OK)
        report_summary(report, options->collective->n_ranks);
    golden_close(&golden);
    return status;
}
