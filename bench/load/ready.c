#include "bench/load/ready.h"

#include "common/clock.h"

void ready_init(struct ready_list *list)
{
    list->first = list->last = NULL;
    pthread_mutex_init(&list->lock, NULL);
    clock_condition_init(&list->marked);
}

void ready_destroy(struct ready_list *list)
{
    pthread_cond_destroy(&list->marked);
    pthread_mutex_destroy(&list->lock);
}

void ready_mark(void *argument)
{
    struct ready_item *item = argument;
    struct ready_list *list = item->list;
    pthread_mutex_lock(&list->lock);
    if (!item->listed) {
        item->listed = true;
        item->next = NULL;
        if (list->first)
            list->last->next = item;
        else
            list->first = item;
        list->last = item;
        pthread_cond_signal(&list->marked);
    }
    pthread_mutex_unlock(&list->lock);
}

struct ready_item *ready_take(struct ready_list *list, double timeout_seconds)
{
    struct timespec until = clock_after(timeout_seconds);
    pthread_mutex_lock(&list->lock);
    while (!list->first && clock_wait_until(&list->marked, &list->lock, &until)) {
    }
    struct ready_item *item = list->first;
    if (item) {
        list->first = item->next;
        item->listed = false;
    }
    pthread_mutex_unlock(&list->lock);
    return item;
}
