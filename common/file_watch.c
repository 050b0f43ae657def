#include "common/file_watch.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/file_stamp.h"

struct watched {
    struct file_watch_item item;
    struct file_stamp stamps[FILE_WATCH_PATHS_MAX];
};

struct file_watch {
    pthread_t thread;
    pthread_mutex_t mutex; /* guards stopping */
    pthread_cond_t stopped;
    bool stopping;
    double period_seconds;
    size_t n;
    struct watched watched[]; /* the thread's own */
};

/* Takes new stamps of the paths. True: one has changed. */
static bool has_changed(struct watched *watched)
{
    bool changed = false;
    for (int i = 0; i < FILE_WATCH_PATHS_MAX; i++) {
        const char *path = watched->item.paths[i];
        struct file_stamp now = path ? file_stamp_of(path) : (struct file_stamp){0};
        changed |= !file_stamp_equal(&now, &watched->stamps[i]);
        watched->stamps[i] = now;
    }
    return changed;
}

/* False: it is time to end. */
static bool wait_a_period(struct file_watch *watch)
{
    struct timespec until = clock_after(watch->period_seconds);
    bool in_time = true;
    pthread_mutex_lock(&watch->mutex);
    while (!watch->stopping && in_time)
        in_time = clock_wait_until(&watch->stopped, &watch->mutex, &until);
    bool go_on = !watch->stopping;
    pthread_mutex_unlock(&watch->mutex);
    return go_on;
}

static void *look(void *argument)
{
    struct file_watch *watch = argument;
    while (wait_a_period(watch)) {
        for (size_t i = 0; i < watch->n; i++) {
            if (has_changed(&watch->watched[i]))
                watch->watched[i].item.changed(watch->watched[i].item.context);
        }
    }
    return NULL;
}

static void watch_free(struct file_watch *watch)
{
    pthread_cond_destroy(&watch->stopped);
    pthread_mutex_destroy(&watch->mutex);
    free(watch);
}

static struct file_watch *watch_create(const struct file_watch_item *items, size_t n, double period_seconds)
{
    struct file_watch *watch = calloc(1, sizeof *watch + n * sizeof *watch->watched);
    if (!watch)
        return NULL;
    clock_condition_init(&watch->stopped);
    pthread_mutex_init(&watch->mutex, NULL);
    watch->period_seconds = period_seconds;
    watch->n = n;
    for (size_t i = 0; i < n; i++) {
        watch->watched[i].item = items[i];
        has_changed(&watch->watched[i]);
    }
    return watch;
}

enum status file_watch_start(const struct file_watch_item *items, size_t n, double period_seconds,
                             struct file_watch **started, struct error *error)
{
    struct file_watch *watch = watch_create(items, n, period_seconds);
    if (watch && !pthread_create(&watch->thread, NULL, look, watch)) {
        *started = watch;
        return STATUS_OK;
    }
    if (watch)
        watch_free(watch);
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory or thread to watch files with");
}

void file_watch_stop(struct file_watch *watch)
{
    if (!watch)
        return;
    pthread_mutex_lock(&watch->mutex);
    watch->stopping = true;
    pthread_cond_signal(&watch->stopped);
    pthread_mutex_unlock(&watch->mutex);
    pthread_join(watch->thread, NULL);
    watch_free(watch);
}
