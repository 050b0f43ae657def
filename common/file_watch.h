#ifndef MILLRACE_COMMON_FILE_WATCH_H
#define MILLRACE_COMMON_FILE_WATCH_H

#include <stddef.h>

#include "common/status.h"

/*
 * Calls back when files change. A thread of its own looks at the files' stamps (file_stamp.h) once a period.
 * That works on every file system and through the links that Kubernetes switches. A file system that hangs
 * stops only this thread.
 */
enum { FILE_WATCH_PATHS_MAX = 4 };

struct file_watch_item {
    const char *paths[FILE_WATCH_PATHS_MAX]; /* NULL: not used */
    void (*changed)(void *context);          /* on the watch's thread */
    void *context;
};

struct file_watch;

/* Copies the items; their strings must outlive the watch. What changes from now on is noticed. */
enum status file_watch_start(const struct file_watch_item *items, size_t n, double period_seconds,
                             struct file_watch **watch, struct error *error);
/* Waits for a callback that runs. NULL is allowed. */
void file_watch_stop(struct file_watch *watch);

#endif
