#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/verify/checks.h"
#include "worker/verify/golden_model.h"
#include "worker/verify/pass.h"

/* The tolerance of float32 against float32. The reference's float32 is within 6e-6 of its float64 (README of
 * the vectors), with logits of a few units. Rounding grows with the logits: for logits beyond usual_logit the
 * difference is divided by their size in units of usual_logit. */
static const double tolerance = 2e-5, usual_logit = 10;

enum { PREFIX_ROOM = 128 };

/* What the cases of one file showed. */
struct forward_totals {
    int n_cases, n_float64, n_probabilities;
    double logits, float64, probabilities; /* largest differences */
};

static double difference(const float *logits, const struct array *expected)
{
    double largest = 0, size = usual_logit;
    for (int64_t i = 0; i < expected->n; i++) {
        largest = worse(largest, fabs((double)logits[i] - expected->x[i]));
        size = fmax(size, fabs((double)expected->x[i]));
    }
    return largest * usual_logit / size;
}

static double difference_of_softmax(const float *logits, const struct array *expected)
{
    double largest = 0;
    int64_t n = expected->shape[expected->n_dimensions - 1];
    for (const float *row = logits; row < logits + expected->n; row += n) {
        double max = -INFINITY, sum = 0;
        for (int64_t i = 0; i < n; i++)
            max = fmax(max, (double)row[i]);
        for (int64_t i = 0; i < n; i++)
            sum += exp((double)row[i] - max);
        for (int64_t i = 0; i < n; i++)
            largest = worse(largest, fabs(exp((double)row[i] - max) / sum - expected->x[row - logits + i]));
    }
    return largest;
}

static enum status check_case(struct model *model, struct golden_file *file, const char *prefix,
                              struct forward_totals *totals, struct error *error)
{
    struct pass pass;
    const void *x;
    enum status status = pass_read(file, prefix, &pass, error);
    if (status != STATUS_OK)
        return status;
    const int64_t shape[] = {pass.n_sequences, pass.length, model->weights.config.n_ids};
    const struct array *expected = golden_array(file, 3, shape, "%slogits", prefix);
    const struct array *exact = golden_find(file, "%slogits_f64", prefix)
                                    ? golden_array(file, 3, shape, "%slogits_f64", prefix)
                                    : NULL;
    const struct array *p =
        golden_find(file, "%sprobs", prefix) ? golden_array(file, 3, shape, "%sprobs", prefix) : NULL;
    status = golden_file_error(file, error);
    if (status == STATUS_OK)
        status = pass_run(model, file, &pass, &x, error);
    if (status != STATUS_OK)
        return status;
    float *logits = pass_logits(model, x, pass.n_sequences * pass.length);
    if (!logits)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for logits");
    totals->n_cases++;
    totals->logits = worse(totals->logits, difference(logits, expected));
    totals->n_float64 += exact != NULL;
    totals->float64 = worse(totals->float64, exact ? difference(logits, exact) : 0);
    totals->n_probabilities += p != NULL;
    totals->probabilities = worse(totals->probabilities, p ? difference_of_softmax(logits, p) : 0);
    free(logits);
    return STATUS_OK;
}

/* A case has a prefix: the part of the tensor's name before "x_t". */
static bool is_case(const char *tensor, char prefix[PREFIX_ROOM])
{
    size_t length = strlen(tensor);
    if (!name_ends(tensor, ".x_t") || length >= PREFIX_ROOM)
        return false;
    snprintf(prefix, PREFIX_ROOM, "%.*s", (int)(length - strlen("x_t")), tensor);
    return true;
}

/* Finds the largest batch of the file. */
static struct golden_load load_of(struct golden_file *file)
{
    struct golden_load load = {1, 1, 1};
    for (int i = 0; i < tensors_count(file->tensors); i++) {
        const struct tensor *tensor = tensors_at(file->tensors, i);
        if (!name_ends(tensor->name, ".x_t") || tensor->n_dimensions != 2)
            continue;
        load.n_sequences = tensor->shape[0] > load.n_sequences ? (int)tensor->shape[0] : load.n_sequences;
        load.length = tensor->shape[1] > load.length ? (int)tensor->shape[1] : load.length;
    }
    return load;
}

/* Checks all cases of the network that has these weights. */
static enum status check_network(const struct golden *golden, struct golden_file *file, const char *name,
                                 const char *weights, struct forward_totals *totals, struct error *error)
{
    struct model model;
    char prefix[PREFIX_ROOM];
    enum status status = golden_model_open(golden, name, weights, load_of(file), &model, error);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < tensors_count(file->tensors) && status == STATUS_OK; i++) {
        if (!is_case(tensors_at(file->tensors, i)->name, prefix))
            continue;
        char network[PREFIX_ROOM];
        snprintf(network, sizeof network, "%.*s", (int)strlen(prefix) - 1, prefix);
        const char *wanted = golden_weights(golden, name, network);
        if (!wanted)
            status = error_set(error, STATUS_INVALID_ARGUMENT, "%sx_t: the manifest has no weights for it",
                               prefix);
        else if (!strcmp(wanted, weights))
            status = check_case(&model, file, prefix, totals, error);
    }
    model_close(&model);
    return status;
}

/* Checks each network of the manifest's entry: either its only one, or one for each "weights_NETWORK", whose
 * cases begin with "NETWORK." */
static enum status check_networks(const struct golden *golden, struct golden_file *file, const char *name,
                                  struct forward_totals *totals, struct error *error)
{
    enum status status = STATUS_OK;
    const char *key;
    json_t *value, *entry = json_object_get(json_object_get(golden->manifest, "models"), name);
    if (!entry)
        return error_set(error, STATUS_INVALID_ARGUMENT, "manifest.json has no model \"%s\"", name);
    json_object_foreach(entry, key, value)
    {
        if (name_begins(key, "weights") && json_is_string(value) && status == STATUS_OK)
            status = check_network(golden, file, name, json_string_value(value), totals, error);
    }
    if (status == STATUS_OK && totals->n_cases == 0)
        return error_set(error, STATUS_INVALID_ARGUMENT, "there is no case in it");
    const char *counted = tensors_metadata(file->tensors, "n_cases");
    if (status == STATUS_OK && counted && atoi(counted) != totals->n_cases)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%d cases where n_cases says %s", totals->n_cases,
                         counted);
    return status;
}

static void tell(struct report *report, const char *file, const struct forward_totals *totals)
{
    report_finding(report, &(struct finding){.file = file,
                                             .what = "logits",
                                             .count = totals->n_cases,
                                             .unit = "cases",
                                             .value = totals->logits,
                                             .limit = tolerance});
    if (totals->n_float64)
        report_finding(report, &(struct finding){.file = file,
                                                 .what = "logits, float64",
                                                 .count = totals->n_float64,
                                                 .unit = "cases",
                                                 .value = totals->float64,
                                                 .limit = tolerance});
    if (totals->n_probabilities)
        report_finding(report, &(struct finding){.file = file,
                                                 .what = "probabilities",
                                                 .count = totals->n_probabilities,
                                                 .unit = "cases",
                                                 .value = totals->probabilities,
                                                 .limit = tolerance});
}

enum status check_forward(const struct golden *golden, const char *name, struct report *report,
                          struct error *error)
{
    struct golden_file file;
    struct forward_totals totals = {0};
    char model[PREFIX_ROOM];
    const char *stem = name + strlen("forward_");
    snprintf(model, sizeof model, "%.*s", (int)(strlen(stem) - strlen(".safetensors")), stem);
    enum status status = golden_file_open(&file, golden, name, error);
    if (status != STATUS_OK)
        return status;
    status = check_networks(golden, &file, model, &totals, error);
    if (status == STATUS_OK)
        tell(report, name, &totals);
    golden_file_close(&file);
    return status;
}
