#ifndef MILLRACE_BENCH_LOAD_READY_H
#define MILLRACE_BENCH_LOAD_READY_H

#include <pthread.h>
#include <stdbool.h>

/*
 * A list of those that have something to do, so that one thread can serve thousands of streams. Any thread
 * marks an item; one thread takes them in the order in which they were marked. An item that is listed already
 * is not listed twice: whoever takes it looks for everything that it has.
 */
struct ready_list {
    pthread_mutex_t lock;
    pthread_cond_t marked;
    struct ready_item *first, *last;
};

/* A part of what the caller wants to find again: its first member, say. It stays where it is. */
struct ready_item {
    struct ready_list *list;
    struct ready_item *next;
    bool listed;
};

void ready_init(struct ready_list *list);
void ready_destroy(struct ready_list *list);

/* Lists the item; a function for rpc_stream_notify. */
void ready_mark(void *item);

/* The next item, taken off the list; NULL when none was marked within timeout_seconds. */
struct ready_item *ready_take(struct ready_list *list, double timeout_seconds);

#endif
