#include "worker/verify/checks.h"
#include "worker/verify/golden_model.h"

/* Opening has checked names, shapes and number formats against config.json. This checks the manifest's
 * counts. */
static enum status compare_counts(const struct golden *golden, const char *file, const char *name,
                                  const struct model *model, struct error *error)
{
    const json_t *entry = golden_entry(golden, "models", name);
    long long parameters = (long long)model_config_parameters(&model->weights.config);
    const json_t *n_parameters = json_object_get(entry, "n_params");
    const json_t *n_tensors = json_object_get(golden_entry(golden, "files", file), "tensors_n");
    if (n_parameters && json_integer_value(n_parameters) != parameters)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "the manifest counts %lld parameters, this shape has %lld",
                         (long long)json_integer_value(n_parameters), parameters);
    if (n_tensors && json_integer_value(n_tensors) != tensors_count(model->tensors))
        return error_set(error, STATUS_INVALID_ARGUMENT, "the manifest counts %lld tensors, the file has %d",
                         (long long)json_integer_value(n_tensors), tensors_count(model->tensors));
    return STATUS_OK;
}

enum status check_weights(const struct golden *golden, const char *file, struct report *report,
                          struct error *error)
{
    struct model model;
    const char *name = golden_model_of(golden, file);
    if (!name)
        return error_set(error, STATUS_INVALID_ARGUMENT, "no model of manifest.json has these weights");
    enum status status = golden_model_open(golden, name, file, (struct golden_load){1, 1, 1}, &model, error);
    if (status != STATUS_OK)
        return status;
    status = compare_counts(golden, file, name, &model, error);
    if (status == STATUS_OK)
        report_finding(report, &(struct finding){.file = file,
                                                 .what = "opens as a model",
                                                 .count = tensors_count(model.tensors),
                                                 .unit = "tensors",
                                                 .note = name});
    model_close(&model);
    return status;
}
