#include "coordinator/services/offload.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    N_THREADS = 2,
    MOST_WAITING = 64, /* messages of at most the server's limit each */
    RETRY_AFTER_MS = 1000,
};

/* Work that waits. */
struct task {
    struct task *next;
    offload_work *work;
    void *argument;
};

/* A call and its message, for the handler. */
struct call_task {
    struct rpc_call *call; /* referenced */
    ProtobufCMessage *message;
    offload_handler *handler;
    void *context;
};

struct offload {
    pthread_mutex_t lock; /* guards all below but the threads */
    pthread_cond_t posted;
    struct task *first, *last;
    int n_waiting;
    bool closing;
    pthread_t threads[N_THREADS];
    int n_threads;
};

/* The oldest; NULL when it is closing and nothing is left. */
static struct task *take(struct offload *offload)
{
    pthread_mutex_lock(&offload->lock);
    while (!offload->first && !offload->closing)
        pthread_cond_wait(&offload->posted, &offload->lock);
    struct task *task = offload->first;
    if (task) {
        offload->first = task->next;
        offload->n_waiting--;
    }
    pthread_mutex_unlock(&offload->lock);
    return task;
}

static void *run(void *argument)
{
    for (struct task *task; (task = take(argument));) {
        task->work(task->argument);
        free(task);
    }
    return NULL;
}

struct offload *offload_create(void)
{
    struct offload *offload = calloc(1, sizeof *offload);
    if (!offload)
        return NULL;
    pthread_mutex_init(&offload->lock, NULL);
    pthread_cond_init(&offload->posted, NULL);
    while (offload->n_threads < N_THREADS &&
           !pthread_create(&offload->threads[offload->n_threads], NULL, run, offload))
        offload->n_threads++;
    if (offload->n_threads == N_THREADS)
        return offload;
    offload_close(offload);
    offload_free(offload);
    return NULL;
}

void offload_close(struct offload *offload)
{
    if (!offload)
        return;
    pthread_mutex_lock(&offload->lock);
    offload->closing = true;
    pthread_cond_broadcast(&offload->posted);
    pthread_mutex_unlock(&offload->lock);
    for (int i = 0; i < offload->n_threads; i++)
        pthread_join(offload->threads[i], NULL);
}

void offload_free(struct offload *offload)
{
    if (!offload)
        return;
    pthread_cond_destroy(&offload->posted);
    pthread_mutex_destroy(&offload->lock);
    free(offload);
}

/* Takes the task over when it returns STATUS_OK. */
static enum status post(struct offload *offload, struct task *task, struct error *error)
{
    enum status status = STATUS_OK;
    pthread_mutex_lock(&offload->lock);
    if (offload->closing) {
        status = error_set(error, STATUS_UNAVAILABLE,
                           "the coordinator is shutting down; try another, or again later");
    } else if (offload->n_waiting == MOST_WAITING) {
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED,
                           "%d large messages wait to be read; try again later", MOST_WAITING);
        error->retry_after_ms = RETRY_AFTER_MS;
    } else {
        *(offload->first ? &offload->last->next : &offload->first) = task;
        offload->last = task;
        offload->n_waiting++;
        pthread_cond_signal(&offload->posted);
    }
    pthread_mutex_unlock(&offload->lock);
    return status;
}

enum status offload_post(struct offload *offload, offload_work *work, void *argument, struct error *error)
{
    struct task *task = calloc(1, sizeof *task);
    if (!task)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the message; try again later");
    *task = (struct task){.work = work, .argument = argument};
    enum status status = post(offload, task, error);
    if (status != STATUS_OK)
        free(task);
    return status;
}

/* ---- calls ---- */

/* The original is the server's, which frees it when the callback returns. */
static ProtobufCMessage *copy_message(const ProtobufCMessage *message, size_t size_bytes)
{
    uint8_t *bytes = malloc(size_bytes);
    ProtobufCMessage *copy = NULL;
    if (bytes) {
        protobuf_c_message_pack(message, bytes);
        copy = protobuf_c_message_unpack(message->descriptor, NULL, size_bytes, bytes);
    }
    free(bytes);
    return copy;
}

static void free_call_task(struct call_task *task)
{
    if (task->message)
        protobuf_c_message_free_unpacked(task->message, NULL);
    rpc_call_unref(task->call);
    free(task);
}

static void handle_call(void *argument)
{
    struct call_task *task = argument;
    task->handler(task->call, task->message, task->context);
    free_call_task(task);
}

enum status offload_call(struct offload *offload, struct rpc_call *call, const ProtobufCMessage *message,
                         offload_handler *handler, void *context, struct error *error)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size <= OFFLOAD_INLINE_BYTES) {
        handler(call, message, context);
        return STATUS_OK;
    }
    struct call_task *task = calloc(1, sizeof *task);
    if (task)
        *task = (struct call_task){.call = rpc_call_ref(call),
                                   .message = copy_message(message, size),
                                   .handler = handler,
                                   .context = context};
    enum status status = task && task->message ? offload_post(offload, handle_call, task, error)
                                               : error_set(error, STATUS_RESOURCE_EXHAUSTED,
                                                           "no memory for the message; try again later");
    if (status != STATUS_OK && task)
        free_call_task(task);
    return status;
}
