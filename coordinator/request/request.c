#include "coordinator/request/request.h"

#include <math.h>
#include <stdlib.h>

#include "common/philox.h"
#include "coordinator/request/layout.h"
#include "coordinator/request/token_input.h"

static const struct run *answer_of_single(const struct request *request, const struct run *finished)
{
    (void)request;
    return finished;
}

const struct request_rule request_rule_single = {answer_of_single};

struct request *request_of_draft(const struct request_terms *terms, const struct request_choices *choices,
                                 struct draft *draft)
{
    struct request *request = calloc(1, sizeof *request);
    struct run *run = calloc(1, sizeof *run);
    if (!request || !run) {
        free(request);
        free(run);
        return NULL;
    }
    *request = (struct request){
        .terms = *terms, .choices = *choices, .runs = run, .n_runs = 1, .rule = &request_rule_single};
    run->request = request;
    run->class = terms->class;
    if (run_init(run, choices, draft))
        return request;
    request_free(request);
    return NULL;
}

void request_free(struct request *request)
{
    if (!request)
        return;
    for (int i = 0; i < request->n_runs; i++)
        run_release(&request->runs[i]);
    free(request->runs);
    free(request);
}

int64_t request_positions(const struct request *request)
{
    int64_t sum = 0;
    for (int i = 0; i < request->n_runs; i++)
        sum += request->runs[i].length;
    return sum;
}

void request_set_steps(struct request *request, int steps)
{
    for (int i = 0; i < request->n_runs; i++)
        request->runs[i].steps = steps;
}

/* x_0: uniform over the vocabulary, or all mask tokens. */
static void fill_editable(const struct model_config *config, uint64_t seed, struct draft *draft)
{
    for (int i = 0; i < draft->length; i++) {
        double u = philox_uniform(seed, 0, (uint32_t)i, PHILOX_INITIAL);
        if (!draft->editable[i])
            continue;
        draft->ids[i] =
            config->source == SOURCE_MASK ? config->mask_token : (int32_t)floor(u * config->vocabulary);
    }
}

enum status request_create(const struct generate_options *options, const struct served_model *model,
                           struct request **request, struct error *error)
{
    struct request_choices choices;
    struct draft draft = {0};
    enum status status = served_model_check_name(model, options->model, error);
    if (status == STATUS_OK)
        status = choices_make(options, &model->config, &choices, error);
    if (status == STATUS_OK)
        status = options->input == INPUT_TOKENS ? token_input_draft(options, &model->config, &draft, error)
                                                : layout_draft(options, model, &draft, error);
    if (status != STATUS_OK)
        return status;
    status = choices_check_length(&model->config, draft.length, &choices, error);
    if (status != STATUS_OK) {
        draft_release(&draft);
        return status;
    }
    fill_editable(&model->config, choices.seed, &draft);
    struct request *made = request_of_draft(&options->terms, &choices, &draft);
    if (!made) {
        draft_release(&draft);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
    }
    *request = made;
    return STATUS_OK;
}
