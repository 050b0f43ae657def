#include <stdlib.h>

#include "coordinator/services/events.h"
#include "common/clock.h"
#include "coordinator/scheduler/scheduler.h"
#include "coordinator/request/text.h"

static Millrace__V1__Timings timings_of(const struct sequence *sequence)
{
    Millrace__V1__Timings timings = MILLRACE__V1__TIMINGS__INIT;
    timings.queue_ms = 1e3 * (sequence->began_at - sequence->accepted_at);
    timings.first_frame_ms = 1e3 * (sequence->first_frame_at - sequence->accepted_at);
    timings.compute_ms = sequence->compute_ms;
    timings.total_ms = 1e3 * (clock_seconds() - sequence->accepted_at);
    return timings;
}

static Millrace__V1__Finished finished_of(const struct sequence *sequence, const struct ending *ending)
{
    const struct request *request = &sequence->request;
    Millrace__V1__Finished finished = MILLRACE__V1__FINISHED__INIT;
    finished.n_ids = finished.n_changed_step = (size_t)request->length;
    finished.ids = (uint32_t *)request->ids;
    finished.changed_step = sequence->changed_step;
    finished.prompt_tokens = (uint32_t)request->n_pinned;
    finished.generated_tokens = (uint32_t)(request->length - request->n_pinned);
    finished.seed = request->seed;
    finished.entropy_bits = text_entropy_bits(request->ids, (size_t)request->length);
    finished.mean_log_probability = sequence->scored ? sequence->log_probability / sequence->scored : 0;
    finished.replica = (char *)ending->replica;
    finished.ranks = ending->n_ranks;
    return finished;
}

/* The text as a proto3 string may hold it; malloc'ed. */
static enum status render(const struct served_model *model, const struct request *request, char **text,
                          struct error *error)
{
    char *bytes;
    size_t size;
    enum status status =
        tokenizer_decode(model->tokenizer, request->ids, (size_t)request->length, &bytes, &size, error);
    if (status != STATUS_OK)
        return status;
    *text = text_repair(bytes, size);
    free(bytes);
    return *text ? STATUS_OK : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the text");
}

void event_send_finished(struct rpc_call *call, const struct served_model *model,
                         const struct sequence *sequence, const struct ending *ending)
{
    struct error error;
    Millrace__V1__Finished finished = finished_of(sequence, ending);
    if (render(model, &sequence->request, &finished.text, &error) != STATUS_OK) {
        rpc_fail(call, &error);
        return;
    }
    Millrace__V1__Timings timings = timings_of(sequence);
    finished.timings = &timings;
    Millrace__V1__GenerateEvent message = MILLRACE__V1__GENERATE_EVENT__INIT;
    message.kind_case = MILLRACE__V1__GENERATE_EVENT__KIND_FINISHED;
    message.finished = &finished;
    rpc_reply(call, &message.base);
    free(finished.text);
}
