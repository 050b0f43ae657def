#include "worker/verify/family.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* README of the vectors: the reference is within 7e-6 of float64. Times are float32 there, also 1 - α at t =
 * 1, which has lost four digits. */
static const double logit_tolerance = 2e-5, rule_tolerance = 3e-5, time_tolerance = 1e-4;

enum { PREFIX_ROOM = 128, TEXTS_MAX = 64 };

/* What the cases of one file showed. */
struct totals {
    int n_cases, n_exact, n_rules, n_times;
    double logits, exact, rule, time; /* largest differences */
};

/* One case: its tensors begin with `prefix`; with `tag` those of the result do. */
struct forward_case {
    struct golden_file *file;
    struct model *model;
    const char *prefix, *tag;
    const struct array *x, *time;
    float *logits;
};

/* A rule's value at one id. */
static double log_unmasked(const struct model_config *config, const double *p, int x, int id)
{
    if (x != config->mask_token)
        return id == x ? 0 : -INFINITY;
    return log(p[id]);
}

static double log_score(const struct model_config *config, bool scaled, double logit, double time, int x,
                        int id)
{
    const double scale = scaled ? log(expm1(time)) + log((double)config->n_ids - 1) : 0;
    return id == x ? 0 : logit - scale;
}

/* How far apart two logarithms are; the file says -1e6 for minus infinity. */
static double apart(double ours, double expected)
{
    if (expected <= -1e5)
        return ours <= -1e5 ? 0 : 1;
    return fabs(ours - expected);
}

static double compare_row(const struct forward_case *it, const float *logits, const double *p, int row,
                          const struct array *expected)
{
    const struct model_config *config = &it->model->weights.config;
    const enum output_rule output = network_of(config->architecture)->output;
    const int n = config->n_ids, length = (int)it->x->shape[1], x = (int)it->x->x[row];
    const bool scaled = strncmp(it->prefix, "noscale", 7) != 0;
    double largest = 0;
    for (int id = 0; id < n; id++) {
        const double wanted = expected->x[(int64_t)row * n + id];
        double ours = log(p[id]);
        if (output == OUTPUT_UNMASKED)
            ours = log_unmasked(config, p, x, id);
        else if (output == OUTPUT_SCORE)
            ours = log_score(config, scaled, (double)logits[id], it->time->x[row / length], x, id);
        else if (output == OUTPUT_NO_MASK)
            ours = p[id];
        largest = worse(largest, apart(ours, wanted));
    }
    return largest;
}

/* The output rule, made of our logits. */
static enum status compare_rule(const struct forward_case *it, struct totals *totals, struct error *error)
{
    static const char *const names[] = {"log_p", "log_score", "p"};
    const struct model_config *config = &it->model->weights.config;
    const bool forbids = network_of(config->architecture)->output == OUTPUT_UNMASKED ||
                         network_of(config->architecture)->output == OUTPUT_NO_MASK;
    const struct array *expected = NULL;
    for (int i = 0; i < 3 && !expected; i++)
        expected = golden_find(it->file, "%s%s%s", it->prefix, it->tag, names[i]);
    const int n_rows = (int)it->x->n, n = config->n_ids;
    if (!expected || expected->n != (int64_t)n_rows * n)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%sx: there is no result of the output rule",
                         it->prefix);
    double *p = malloc((size_t)n * sizeof *p);
    for (int row = 0; row < n_rows && p; row++) {
        family_softmax(it->logits + (size_t)row * (size_t)n, n, forbids ? config->mask_token : -1, p);
        totals->rule =
            worse(totals->rule, compare_row(it, it->logits + (size_t)row * (size_t)n, p, row, expected));
    }
    totals->n_rules += p != NULL;
    free(p);
    return p ? STATUS_OK : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d ids", n);
}

static double largest_difference(const float *ours, const struct array *expected)
{
    double largest = 0;
    for (int64_t i = 0; i < expected->n; i++)
        largest = worse(largest, fabs((double)ours[i] - expected->x[i]));
    return largest;
}

/* What the engine would tell the network at the case's times. */
static void compare_times(const struct forward_case *it, struct totals *totals)
{
    struct model_config config = it->model->weights.config;
    const struct array *t = golden_find(it->file, "%st", it->prefix);
    if (strncmp(it->prefix, "tc", 2) == 0)
        config.is_timeless = false;
    for (int64_t i = 0; t && i < t->n && t->n == it->time->n; i++) {
        const double ours = (double)noise_network_time(&config, t->x[i]);
        totals->time = worse(totals->time, fabs(ours - it->time->x[i]));
        totals->n_times++;
    }
}

static enum status run_case(struct forward_case *it, struct error *error)
{
    struct family_text texts[TEXTS_MAX];
    const int n = (int)it->x->shape[0], length = (int)it->x->shape[1];
    const struct array *label = golden_find(it->file, "%slabel", it->prefix);
    if (n > TEXTS_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%sx: more than %d texts", it->prefix, TEXTS_MAX);
    for (int i = 0; i < n; i++)
        texts[i] = (struct family_text){it->x->x + (int64_t)i * length, length, (float)it->time->x[i],
                                        label ? (int)label->x[i] : -1};
    return family_logits(it->model, texts, n, &it->logits, error);
}

static enum status check_case(struct forward_case *it, struct totals *totals, struct error *error)
{
    it->x = golden_array(it->file, 2, (int64_t[]){-1, -1}, "%sx", it->prefix);
    if (it->x)
        it->time = golden_array(it->file, 1, it->x->shape, "%snet_time", it->prefix);
    if (!it->x || !it->time)
        return golden_file_error(it->file, error);
    const int64_t shape[] = {it->x->shape[0], it->x->shape[1], it->model->weights.config.n_ids};
    const struct array *expected = golden_array(it->file, 3, shape, "%s%slogits", it->prefix, it->tag);
    const struct array *exact = golden_find(it->file, "%s%slogits_f64", it->prefix, it->tag);
    if (!expected)
        return golden_file_error(it->file, error);
    enum status status = run_case(it, error);
    if (status != STATUS_OK)
        return status;
    totals->n_cases++;
    totals->logits = worse(totals->logits, largest_difference(it->logits, expected));
    totals->n_exact += exact != NULL;
    totals->exact = worse(totals->exact, exact ? largest_difference(it->logits, exact) : 0);
    compare_times(it, totals);
    status = compare_rule(it, totals, error);
    free(it->logits);
    it->logits = NULL;
    return status;
}

/*
 * BD3-LM's likelihood form: noisy blocks see themselves and the clean blocks before them. So each noisy block
 * is the last one of a text of its own, whose other blocks are clean.
 */
static enum status check_pair(struct golden_file *file, struct model *model, struct totals *totals,
                              struct error *error)
{
    const struct array *noisy = golden_find(file, "pair.x_t"), *clean = golden_find(file, "pair.x_0");
    const struct array *expected = golden_find(file, "pair.logits");
    const int block = model->weights.config.block_size, n_ids = model->weights.config.n_ids;
    const int length = noisy && clean && expected && block ? (int)clean->n : 0;
    double *ids = calloc((size_t)length + 1, sizeof *ids);
    enum status status = length && ids
                             ? STATUS_OK
                             : error_set(error, STATUS_INVALID_ARGUMENT, "pair: its tensors are incomplete");
    for (int first = 0; first < length && status == STATUS_OK; first += block) {
        float *logits;
        const struct family_text text = {ids, first + block, 0, -1};
        memcpy(ids, clean->x, (size_t)first * sizeof *ids);
        memcpy(ids + first, noisy->x + first, (size_t)block * sizeof *ids);
        status = family_logits(model, &text, 1, &logits, error);
        for (int64_t i = (int64_t)first * n_ids; i < (int64_t)(first + block) * n_ids && status == STATUS_OK;
             i++)
            totals->logits = worse(totals->logits, fabs((double)logits[i] - expected->x[i]));
        if (status == STATUS_OK)
            free(logits);
    }
    totals->n_cases++;
    free(ids);
    return status;
}

/* All cases of the file, by one model. */
static enum status check_cases(struct golden_file *file, struct model *model, const char *tag,
                               struct totals *totals, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < tensors_count(file->tensors) && status == STATUS_OK; i++) {
        const char *name = tensors_at(file->tensors, i)->name;
        char prefix[PREFIX_ROOM];
        struct forward_case it = {file, model, prefix, tag, NULL, NULL, NULL};
        snprintf(prefix, sizeof prefix, "%.*s", (int)strlen(name) - 1, name);
        if (!strcmp(name, "pair.x_0"))
            status = check_pair(file, model, totals, error);
        else if (!strcmp(name, "x") || name_ends(name, ".x"))
            status = check_case(&it, totals, error);
    }
    return status;
}

static void largest_batch(const struct golden_file *file, int *n_texts, int *length)
{
    *n_texts = *length = 1;
    for (int i = 0; i < tensors_count(file->tensors); i++) {
        const struct tensor *tensor = tensors_at(file->tensors, i);
        if (tensor->n_dimensions != 2 || (strcmp(tensor->name, "x") && !name_ends(tensor->name, ".x")))
            continue;
        *n_texts = tensor->shape[0] > *n_texts ? (int)tensor->shape[0] : *n_texts;
        *length = tensor->shape[1] > *length ? (int)tensor->shape[1] : *length;
    }
}

static void tell(struct report *report, const char *file, const char *of, const struct totals *totals)
{
    const struct {
        const char *what;
        int count;
        double value, limit;
    } rows[] = {{"logits", totals->n_cases, totals->logits, logit_tolerance},
                {"logits, float64", totals->n_exact, totals->exact, logit_tolerance},
                {"output rule", totals->n_rules, totals->rule, rule_tolerance},
                {"times of the network", totals->n_times, totals->time, time_tolerance}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].count)
            report_finding(report, &(struct finding){.file = file,
                                                     .what = rows[i].what,
                                                     .count = rows[i].count,
                                                     .unit = "cases",
                                                     .value = rows[i].value,
                                                     .limit = rows[i].limit,
                                                     .note = of});
}

static enum status check_model(const struct golden *golden, struct golden_file *file, const char *name,
                               const char *tag, struct report *report, struct error *error)
{
    struct model model;
    struct totals totals = {0};
    int n_texts, length;
    largest_batch(file, &n_texts, &length);
    enum status status = family_model_open(golden, name, n_texts, length, &model, error);
    if (status != STATUS_OK)
        return status;
    status = check_cases(file, &model, tag, &totals, error);
    if (status == STATUS_OK && totals.n_cases == 0)
        status = error_set(error, STATUS_INVALID_ARGUMENT, "there is no case in it");
    if (status == STATUS_OK)
        tell(report, file->name, name, &totals);
    model_close(&model);
    return status;
}

/* The file holds results of a checkpoint's raw weights and of their average. */
static enum status check_converted(const struct golden *golden, struct golden_file *file, const char *bin,
                                   struct report *report, struct error *error)
{
    static const char *const tags[] = {"raw", "ema"};
    const char *name;
    json_t *value;
    enum status status = STATUS_OK;
    if (bin && !strcmp(family_text_of(golden_entry(golden, "models", bin), "format"), "pytorch_model.bin"))
        status = check_model(golden, file, bin, "raw.", report, error);
    json_object_foreach(json_object_get(golden->manifest, "checkpoints"), name, value)
    {
        for (int i = 0; i < 2 && status == STATUS_OK; i++) {
            char model[256], tag[8];
            snprintf(model, sizeof model, "%s.%s", name, tags[i]);
            snprintf(tag, sizeof tag, "%s.", tags[i]);
            status = check_model(golden, file, model, tag, report, error);
        }
    }
    return status;
}

enum status check_family_forward(const struct golden *golden, const char *name, struct report *report,
                                 struct error *error)
{
    struct golden_file file;
    const char *model = family_text_of(golden_entry(golden, "files", name), "model");
    enum status status = golden_file_open(&file, golden, name, error);
    if (status != STATUS_OK)
        return status;
    if (tensors_find(file.tensors, "raw.logits"))
        status = check_converted(golden, &file, model, report, error);
    else if (model)
        status = check_model(golden, &file, model, "", report, error);
    else
        status = error_set(error, STATUS_INVALID_ARGUMENT, "manifest.json does not say of which model it is");
    golden_file_close(&file);
    return status;
}
