#ifndef MILLRACE_COMMON_LOG_QUEUE_H
#define MILLRACE_COMMON_LOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Lines on their way to a descriptor. A thread of its own writes them, so that a thread that logs never waits
 * for the reader. While the reader is slow the lines wait here. When LOG_QUEUE_LINES wait, further lines are
 * dropped and counted.
 */
enum { LOG_QUEUE_LINES = 1024 };

struct log_queue;

/* The descriptor stays the caller's. NULL without memory or thread. */
struct log_queue *log_queue_open(int descriptor);

/* Copies the line. Does not block. false: it was dropped. */
bool log_queue_put(struct log_queue *queue, const char *line, size_t size_bytes);

/* How many lines were dropped since the last call. 0 while there is no room for a line that says so. */
uint64_t log_queue_take_dropped(struct log_queue *queue);

/* Waits at most so long until all lines are written. No thread may put any more. False: the reader stands
 * still. The queue's thread may then be in the middle of a write, so it and its memory stay until the process
 * ends. */
bool log_queue_close(struct log_queue *queue, double most_seconds);

#endif
