#include "worker/engine/ready_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#define LOOK_SECONDS 1.0

struct ready_file {
    const char *path;
    const struct meters *meters;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint64_t progress; /* at the last look */
    bool closing;
};

/* Under the lock. */
static void look(struct ready_file *file)
{
    uint64_t progress = meter_read(file->meters, METER_PROGRESS);
    if (progress == file->progress)
        return;
    file->progress = progress;
    utimensat(AT_FDCWD, file->path, NULL, 0); /* a file that somebody removed stays away: they meant it */
}

void ready_file_look(struct ready_file *file)
{
    pthread_mutex_lock(&file->lock);
    look(file);
    pthread_mutex_unlock(&file->lock);
}

static void *look_every_second(void *argument)
{
    struct ready_file *file = argument;
    pthread_mutex_lock(&file->lock);
    while (!file->closing) {
        struct timespec next = clock_after(LOOK_SECONDS);
        while (!file->closing && clock_wait_until(&file->changed, &file->lock, &next))
            ;
        if (!file->closing)
            look(file);
    }
    pthread_mutex_unlock(&file->lock);
    return NULL;
}

static bool make(const char *path)
{
    FILE *file = fopen(path, "we");
    if (file && !fclose(file))
        return true;
    log_error("--ready-file %s: %s", path, strerror(errno));
    return false;
}

struct ready_file *ready_file_open(const char *path, const struct meters *meters)
{
    struct ready_file *file = path && make(path) ? calloc(1, sizeof *file) : NULL;
    if (!file)
        return NULL;
    *file = (struct ready_file){.path = path, .meters = meters};
    pthread_mutex_init(&file->lock, NULL);
    clock_condition_init(&file->changed);
    if (!pthread_create(&file->thread, NULL, look_every_second, file))
        return file;
    log_error("--ready-file %s: no thread renews it", path);
    free(file);
    return NULL;
}

void ready_file_close(struct ready_file *file)
{
    if (!file)
        return;
    pthread_mutex_lock(&file->lock);
    file->closing = true;
    pthread_cond_broadcast(&file->changed);
    pthread_mutex_unlock(&file->lock);
    pthread_join(file->thread, NULL);
    unlink(file->path);
    pthread_cond_destroy(&file->changed);
    pthread_mutex_destroy(&file->lock);
    free(file);
}
