#include "coordinator/scheduler/queue.h"

void queue_insert(struct queue *queue, struct run *run)
{
    run_list_insert(&queue->by_class[run->class], run);
}

void queue_step(struct queue *queue, const struct run *run)
{
    queue->by_class[run->class].work -= run->length;
}

struct run *queue_first(const struct queue *queue)
{
    for (int class = 0; class < CLASS_COUNT; class ++) {
        if (queue->by_class[class].first)
            return queue->by_class[class].first;
    }
    return NULL;
}

struct queue_sums queue_sums(const struct queue *queue, enum request_class last)
{
    struct queue_sums sums = {0};
    for (int class = 0; class <= (int)last; class ++) {
        sums.n += queue->by_class[class].n;
        sums.n_tokens += queue->by_class[class].n_tokens;
        sums.work += queue->by_class[class].work;
    }
    return sums;
}
