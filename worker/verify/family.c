#include "worker/verify/family.h"
#include "common/model/network.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A file belongs to the first kind whose beginning its name has. */
static const struct kind {
    const char *name, *prefix;
    golden_check *check;
} kinds[] = {{"forward", "forward_", check_family_forward},
             {"trace", "trace_", check_trace},
             {"laws", "law_", check_family_law},
             {"draws", "draws_", check_family_draws},
             {"trajectories", "traj_", check_family_trajectory}};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *kind_of(const char *file)
{
    for (int i = 0; i < N_KINDS; i++)
        if (name_begins(file, kinds[i].prefix) && name_ends(file, ".safetensors"))
            return &kinds[i];
    return NULL;
}

/* A model of the manifest opens, and has as many parameters and the mask that the manifest says. */
static enum status check_model(const struct golden *golden, const char *name, struct report *report,
                               struct error *error)
{
    struct model model;
    const json_t *entry = golden_entry(golden, "models", name);
    enum status status = family_model_open(golden, name, 1, 1, &model, error);
    if (status != STATUS_OK)
        return status;
    const struct model_config *config = &model.weights.config;
    const double wanted[] = {family_number(entry, "n_params", -1), family_number(entry, "vocab_size", -1),
                             family_number(entry, "mask_id", -1), family_number(entry, "n_heads", -1)};
    const double found[] = {(double)model_config_parameters(config), config->n_ids, config->mask_token,
                            config->n_heads};
    int n_wrong = 0;
    for (int i = 0; i < 4; i++)
        n_wrong += wanted[i] != found[i];
    report_finding(report, &(struct finding){.file = name,
                                             .what = "opens as a model; wrong sizes",
                                             .count = tensors_count(model.tensors),
                                             .unit = "tensors",
                                             .value = n_wrong,
                                             .note = architecture_name(config->architecture)});
    model_close(&model);
    return STATUS_OK;
}

static bool is_wanted(const struct verify_options *options, const char *kind)
{
    return !options->only || !strcmp(options->only, kind);
}

static void check_models(const struct golden *golden, const struct verify_options *options,
                         struct report *report)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(golden->manifest, "models"), name, value)
    {
        struct error error = {0};
        if (!is_wanted(options, "weights"))
            continue;
        report->n_files++;
        if (check_model(golden, name, report, &error) != STATUS_OK)
            report_refusal(report, name, error.text);
    }
}

static void check_file(const struct golden *golden, const struct verify_options *options, const char *file,
                       struct report *report)
{
    const struct kind *kind = kind_of(file);
    struct error error = {0};
    if (!is_wanted(options, kind ? kind->name : ""))
        return;
    if (golden_entry(golden, "checkpoints",
                     file)) /* judged through the logits of what is converted from it */
        return;
    report->n_files++;
    if (!kind)
        report_refusal(report, file, "unknown: no check knows files of this name");
    else if (kind->check(golden, file, report, &error) != STATUS_OK)
        report_refusal(report, file, error.text);
}

static int is_content(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && strcmp(entry->d_name, "manifest.json") != 0 &&
           !name_begins(entry->d_name, "README") && entry->d_type != DT_DIR;
}

static int order(const struct dirent **left, const struct dirent **right)
{
    const struct kind *a = kind_of((*left)->d_name), *b = kind_of((*right)->d_name);
    return a != b ? (a < b ? -1 : 1) : strcmp((*left)->d_name, (*right)->d_name);
}

static bool is_there(struct dirent **entries, int n, const char *file)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(entries[i]->d_name, file))
            return true;
    return false;
}

/* Reports each file that the manifest names and that is missing. */
static void miss_files(const struct golden *golden, struct dirent **entries, int n, struct report *report)
{
    static const char *const sections[] = {"files", "checkpoints"};
    const char *name;
    json_t *value;
    for (int i = 0; i < 2; i++)
        json_object_foreach(json_object_get(golden->manifest, sections[i]), name, value)
        {
            if (is_there(entries, n, name))
                continue;
            report->n_files++;
            report_refusal(report, name, "missing: manifest.json names it");
        }
}

enum status verify_family(const struct golden *golden, const struct verify_options *options,
                          struct report *report, struct error *error)
{
    struct dirent **entries = NULL;
    int n = scandir(golden->directory, &entries, is_content, order);
    enum status status =
        n >= 0 ? STATUS_OK : error_set(error, STATUS_NOT_FOUND, "%s: cannot be read", golden->directory);
    status = collective_agree(options->collective, status, error);
    if (status != STATUS_OK)
        return status;
    check_models(golden, options, report);
    for (int i = 0; i < n; i++)
        check_file(golden, options, entries[i]->d_name, report);
    if (!options->only)
        miss_files(golden, entries, n, report);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return STATUS_OK;
}
