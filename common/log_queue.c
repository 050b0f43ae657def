#include "common/log_queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

struct line {
    char *text;
    size_t size;
};

struct log_queue {
    int descriptor;
    pthread_t thread;
    pthread_mutex_t mutex;  /* guards what follows; never held during a write */
    pthread_cond_t changed; /* a line came, the last one left, or it closes */
    struct line lines[LOG_QUEUE_LINES];
    int first, n;     /* the first one is the thread's while it writes it */
    uint64_t dropped; /* lines of which no line has told yet */
    bool closing, ended;
};

/* A child may have made the descriptor non-blocking for all who share it. */
static bool wait_until_writable(int descriptor)
{
    struct pollfd waiting = {.fd = descriptor, .events = POLLOUT};
    return poll(&waiting, 1, -1) > 0 || errno == EINTR;
}

static void write_all(int descriptor, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(descriptor, text, size);
        if (written > 0) {
            text += written;
            size -= (size_t)written;
        } else if (written == 0 ||
                   (errno != EINTR && !(errno == EAGAIN && wait_until_writable(descriptor)))) {
            return; /* nobody is left to tell */
        }
    }
}

/* Waits for a line; false: there is none, and none will come. */
static bool next_line(struct log_queue *queue, struct line *line)
{
    pthread_mutex_lock(&queue->mutex);
    while (!queue->n && !queue->closing)
        pthread_cond_wait(&queue->changed, &queue->mutex);
    bool some = queue->n > 0;
    *line = queue->lines[queue->first];
    pthread_mutex_unlock(&queue->mutex);
    return some;
}

static void remove_first(struct log_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    free(queue->lines[queue->first].text);
    queue->first = (queue->first + 1) % LOG_QUEUE_LINES;
    queue->n--;
    pthread_mutex_unlock(&queue->mutex);
}

static void *write_lines(void *argument)
{
    struct log_queue *queue = argument;
    struct line line;
    while (next_line(queue, &line)) {
        write_all(queue->descriptor, line.text, line.size);
        remove_first(queue);
    }
    pthread_mutex_lock(&queue->mutex);
    queue->ended = true;
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
    return NULL;
}

static void queue_free(struct log_queue *queue)
{
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

static struct log_queue *queue_create(int descriptor)
{
    struct log_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    clock_condition_init(&queue->changed);
    pthread_mutex_init(&queue->mutex, NULL);
    queue->descriptor = descriptor;
    return queue;
}

/* The thread blocks all signals, so that others get them. */
static bool start_thread(struct log_queue *queue)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = !pthread_create(&queue->thread, NULL, write_lines, queue);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

struct log_queue *log_queue_open(int descriptor)
{
    struct log_queue *queue = queue_create(descriptor);
    if (!queue || start_thread(queue))
        return queue;
    queue_free(queue);
    return NULL;
}

bool log_queue_put(struct log_queue *queue, const char *line, size_t size_bytes)
{
    char *copy = malloc(size_bytes);
    if (copy)
        memcpy(copy, line, size_bytes);
    pthread_mutex_lock(&queue->mutex);
    bool put = copy && queue->n < LOG_QUEUE_LINES;
    if (put) {
        queue->lines[(queue->first + queue->n++) % LOG_QUEUE_LINES] = (struct line){copy, size_bytes};
        pthread_cond_signal(&queue->changed);
    }
    queue->dropped += !put;
    pthread_mutex_unlock(&queue->mutex);
    if (!put)
        free(copy);
    return put;
}

uint64_t log_queue_take_dropped(struct log_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    uint64_t dropped = queue->n < LOG_QUEUE_LINES ? queue->dropped : 0;
    queue->dropped -= dropped;
    pthread_mutex_unlock(&queue->mutex);
    return dropped;
}

bool log_queue_close(struct log_queue *queue, double most_seconds)
{
    const struct timespec until = clock_after(most_seconds);
    bool in_time = true;
    pthread_mutex_lock(&queue->mutex);
    queue->closing = true;
    pthread_cond_signal(&queue->changed);
    while (!queue->ended && in_time)
        in_time = clock_wait_until(&queue->changed, &queue->mutex, &until);
    bool ended = queue->ended;
    pthread_mutex_unlock(&queue->mutex);
    if (!ended) {
        pthread_detach(queue->thread);
        return false;
    }
    pthread_join(queue->thread, NULL);
    queue_free(queue);
    return true;
}
