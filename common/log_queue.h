#ifndef MILLRACE_COMMON_LOG_QUEUE_H
#define MILLRACE_COMMON_LOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Lines on their way to a descriptor, written by a thread of their own: whoever logs never waits for whoever
 * reads. Lines are held back while the reader is slow; when LOG_QUEUE_LINES wait, more are dropped, and
 * counted.
 */
enum { LOG_QUEUE_LINES = 1024 };

struct log_queue;

/* The descriptor stays the caller's. NULL without memory or thread. */
struct log_queue *log_queue_open(int descriptor);

/* Copies the line. Does not block. false: it was dropped. */
bool log_queue_put(struct log_queue *queue, const char *line, size_t size_bytes);

/* Lines dropped since the last call, once there is room for a line that tells of them; else 0. */
uint64_t log_queue_take_dropped(struct log_queue *queue);

/* Waits until all is written, at most so long. Nobody puts any more. false: a reader stands still; the
 * thread, which may be in the middle of a write, and what it needs are left behind for the end of the
 * process. */
bool log_queue_close(struct log_queue *queue, double most_seconds);

#endif
