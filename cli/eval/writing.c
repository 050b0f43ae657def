/*
 * Threads: there are `in_flight` writers, each with one request at a time. The caller's thread waits, shows
 * progress and looks for an interruption. The mutex of struct crew guards the fields below it; samples[i]
 * belongs to the writer that took i.
 */
#include "cli/eval/writing.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "cli/terminal/interrupt.h"
#include "proto/millrace.pb-c.h"

static const char generate_path[] = "/millrace.v1.Millrace/Generate";
enum { LOOK_EVERY_MS = 100 };

struct crew {
    const struct writing_options *options;
    struct sample *samples; /* [tasks->n] */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* a text is done, or a writer has ended */
    size_t n_taken, n_done, n_running;
    bool stop;                /* writers take no more tasks and give up running ones */
    struct error first_error; /* status OK: none */
};

static bool is_stopped(struct crew *crew)
{
    pthread_mutex_lock(&crew->mutex);
    bool stop = crew->stop;
    pthread_mutex_unlock(&crew->mutex);
    return stop;
}

static enum status keep(const struct writing_options *options, const Millrace__V1__Finished *finished,
                        struct sample *sample, struct error *error)
{
    if (finished->n_ids != options->tasks->length)
        return error_set(error, STATUS_DATA_LOSS, "a text of %zu tokens came, and %zu were asked for",
                         finished->n_ids, options->tasks->length);
    sample->ids = calloc(finished->n_ids + 1, sizeof *sample->ids);
    sample->text = strdup(finished->text);
    sample->model = strdup(options->model);
    if (!sample->ids || !sample->text || !sample->model)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text");
    memcpy(sample->ids, finished->ids, finished->n_ids * sizeof *sample->ids);
    sample->n_ids = finished->n_ids;
    sample->log_probability = finished->mean_log_probability;
    return STATUS_OK;
}

static enum status read_text(struct crew *crew, struct rpc_stream *stream, struct sample *sample,
                             struct error *error)
{
    enum status status = STATUS_OK;
    for (;;) {
        ProtobufCMessage *message;
        enum rpc_read read = rpc_stream_read(stream, LOOK_EVERY_MS / 1000.0, &message);
        if (is_stopped(crew))
            status = error_set(error, STATUS_CANCELLED, "interrupted");
        if (read == RPC_READ_END)
            break;
        if (read == RPC_READ_MESSAGE) {
            const Millrace__V1__GenerateEvent *event = (const Millrace__V1__GenerateEvent *)message;
            if (status == STATUS_OK && event->kind_case == MILLRACE__V1__GENERATE_EVENT__KIND_FINISHED &&
                !sample->ids)
                status = keep(crew->options, event->finished, sample, error);
            protobuf_c_message_free_unpacked(message, NULL);
        }
        if (status != STATUS_OK)
            return status;
    }
    if (status == STATUS_OK)
        status = rpc_stream_status(stream, error);
    if (status == STATUS_OK && !sample->ids)
        status = error_set(error, STATUS_DATA_LOSS, "the answer ended before the text was finished");
    return status;
}

/* Sets everything but the input. */
static void set_choices(const struct writing_options *options, const struct sample *sample,
                        Millrace__V1__GenerateRequest *request)
{
    request->length_choice_case = MILLRACE__V1__GENERATE_REQUEST__LENGTH_CHOICE_LENGTH;
    request->length = (uint32_t)options->tasks->length;
    request->steps_choice_case = MILLRACE__V1__GENERATE_REQUEST__STEPS_CHOICE_STEPS;
    request->steps = sample->steps;
    request->seed_choice_case = MILLRACE__V1__GENERATE_REQUEST__SEED_CHOICE_SEED;
    request->seed = sample->seed;
    request->temperature_choice_case = MILLRACE__V1__GENERATE_REQUEST__TEMPERATURE_CHOICE_TEMPERATURE;
    request->temperature = options->temperature;
    request->solver = (Millrace__V1__Solver)options->solver;
}

static enum status write_text(struct crew *crew, size_t index, struct error *error)
{
    const struct writing_options *options = crew->options;
    const struct task *task = &options->tasks->tasks[index];
    struct sample *sample = &crew->samples[index];
    struct rpc_stream *stream = NULL;
    char nothing[] = "";
    Millrace__V1__GenerateRequest request = MILLRACE__V1__GENERATE_REQUEST__INIT;
    Millrace__V1__TokenInput tokens = MILLRACE__V1__TOKEN_INPUT__INIT;
    tokens.ids = task->ids;
    tokens.n_ids = options->tasks->length;
    tokens.editable = (ProtobufCBinaryData){options->tasks->length, task->editable};
    request.input_case = task->ids ? MILLRACE__V1__GENERATE_REQUEST__INPUT_TOKENS
                                   : MILLRACE__V1__GENERATE_REQUEST__INPUT_PROMPT;
    if (task->ids)
        request.tokens = &tokens;
    else
        request.prompt = nothing;
    sample->steps = options->steps;
    sample->seed = options->seed + index;
    set_choices(options, sample, &request);
    double start = clock_seconds();
    enum status status =
        rpc_stream_open(options->channel, generate_path, &request.base,
                        &millrace__v1__generate_event__descriptor, options->timeout_s, &stream, error);
    if (status == STATUS_OK)
        status = read_text(crew, stream, sample, error);
    sample->seconds = clock_seconds() - start;
    rpc_stream_close(stream);
    return status;
}

/* Takes the next task; false where there is none left. */
static bool take(struct crew *crew, size_t *index)
{
    pthread_mutex_lock(&crew->mutex);
    bool taken = !crew->stop && crew->n_taken < crew->options->tasks->n;
    if (taken)
        *index = crew->n_taken++;
    pthread_mutex_unlock(&crew->mutex);
    return taken;
}

static void report(struct crew *crew, enum status status, const struct error *error)
{
    pthread_mutex_lock(&crew->mutex);
    if (status == STATUS_OK) {
        crew->n_done++;
    } else {
        if (crew->first_error.status == STATUS_OK)
            crew->first_error = *error;
        crew->stop = true;
    }
    pthread_cond_signal(&crew->changed);
    pthread_mutex_unlock(&crew->mutex);
}

static void *writer_main(void *argument)
{
    struct crew *crew = argument;
    for (size_t index; take(crew, &index);) {
        struct error error = {0};
        enum status status = write_text(crew, index, &error);
        report(crew, status, &error);
    }
    pthread_mutex_lock(&crew->mutex);
    crew->n_running--;
    pthread_cond_signal(&crew->changed);
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

static void watch(struct crew *crew, const struct progress *progress)
{
    pthread_mutex_lock(&crew->mutex);
    while (crew->n_running > 0) {
        struct timespec at = clock_after(LOOK_EVERY_MS * 1e-3);
        clock_wait_until(&crew->changed, &crew->mutex, &at);
        if (interrupt_taken()) {
            crew->stop = true;
            if (crew->first_error.status == STATUS_OK)
                error_set(&crew->first_error, STATUS_CANCELLED, "interrupted");
        }
        progress_show(progress, crew->n_done);
    }
    pthread_mutex_unlock(&crew->mutex);
}

static enum status run_crew(struct crew *crew, const struct progress *progress, struct error *error)
{
    size_t wanted = crew->options->in_flight, n = 0;
    pthread_t *threads = calloc(wanted, sizeof *threads);
    if (!threads)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu requests at a time", wanted);
    crew->n_running = wanted;
    while (n < wanted && pthread_create(&threads[n], NULL, writer_main, crew) == 0)
        n++;
    pthread_mutex_lock(&crew->mutex);
    crew->n_running -= wanted - n;
    if (n == 0)
        error_set(&crew->first_error, STATUS_RESOURCE_EXHAUSTED, "no thread could be started");
    pthread_mutex_unlock(&crew->mutex);
    watch(crew, progress);
    while (n > 0)
        pthread_join(threads[--n], NULL);
    free(threads);
    if (crew->first_error.status != STATUS_OK)
        *error = crew->first_error;
    return crew->first_error.status;
}

enum status writing_run(const struct writing_options *options, const struct progress *progress,
                        struct sample_list *list, double *seconds, struct error *error)
{
    size_t first = list->n;
    double start = clock_seconds();
    for (size_t i = 0; i < options->tasks->n; i++) {
        if (!sample_list_add(list))
            return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu texts", options->tasks->n);
    }
    struct crew crew = {.options = options, .samples = list->samples + first};
    pthread_mutex_init(&crew.mutex, NULL);
    clock_condition_init(&crew.changed);
    enum status status = run_crew(&crew, progress, error);
    pthread_cond_destroy(&crew.changed);
    pthread_mutex_destroy(&crew.mutex);
    *seconds = clock_seconds() - start;
    return status;
}
