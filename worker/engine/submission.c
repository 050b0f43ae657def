#include "worker/engine/submission.h"

#include "proto/replica.pb-c.h"

enum status submission_read(const void *submission, struct sequence_input *input, struct error *error)
{
    const Millrace__Replica__V1__Submit *submit = submission;
    if (submit->editable.len != submit->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "editable: has %zu bytes for %zu ids",
                         submit->editable.len, submit->n_ids);
    if (submit->n_until_jump != 0 && submit->n_until_jump != submit->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "until_jump: has %zu values for %zu ids",
                         submit->n_until_jump, submit->n_ids);
    *input = (struct sequence_input){.number = submit->sequence,
                                     .ids = submit->ids,
                                     .editable = submit->editable.data,
                                     .length = submit->n_ids,
                                     .step = submit->step,
                                     .n_steps = submit->steps,
                                     .seed = submit->seed,
                                     .temperature = submit->temperature,
                                     .solver = (enum solver)submit->solver,
                                     .revise = submit->revise,
                                     .most_changes = submit->most_changes,
                                     .until_jump = submit->n_until_jump ? submit->until_jump : NULL};
    return STATUS_OK;
}

void submission_free(void *submission)
{
    millrace__replica__v1__submit__free_unpacked(submission, NULL);
}
