#ifndef MILLRACE_WORKER_ENGINE_READY_FILE_H
#define MILLRACE_WORKER_ENGINE_READY_FILE_H

#include "worker/model/meters.h"

/*
 * The file that says "this replica is ready" to probes and scripts (rank 0). It is there from ready_file_open
 * to ready_file_close. While the ranks move its modification time is renewed about every second: a file that
 * is there and is old belongs to a replica that hangs or is stopped, whatever thread or rank it is that does.
 */
struct ready_file;

/* Makes the file, and starts the thread that renews it. NULL: `path` is NULL, or it cannot be made, which is
 * logged. `path` and `meters` outlive it. */
struct ready_file *ready_file_open(const char *path, const struct meters *meters);

/* One look: renews the file's time if the ranks have moved since the last look. The thread calls it. */
void ready_file_look(struct ready_file *file);

/* Ends the thread, then removes the file. NULL is allowed. */
void ready_file_close(struct ready_file *file);

#endif
