#include "coordinator/scheduler/run_list.h"

#include <stddef.h>

static void list_count(struct run_list *list, const struct run *run, int sign)
{
    list->n += sign;
    list->n_tokens += sign * run->length;
    list->work += sign * (int64_t)run->length * run_steps_left(run);
}

/* Inserts the run behind `previous`; NULL: at the front. */
static void link_behind(struct run_list *list, struct run *run, struct run *previous)
{
    run->list = list;
    run->previous = previous;
    run->next = previous ? previous->next : list->first;
    *(previous ? &previous->next : &list->first) = run;
    *(run->next ? &run->next->previous : &list->last) = run;
    list_count(list, run, 1);
}

void run_list_append(struct run_list *list, struct run *run)
{
    link_behind(list, run, list->last);
}

void run_list_insert(struct run_list *list, struct run *run)
{
    struct run *previous = list->last;
    if (previous && previous->number > run->number) { /* it comes back, and belongs near the front */
        previous = NULL;
        for (struct run *next = list->first; next->number < run->number; next = next->next)
            previous = next;
    }
    link_behind(list, run, previous);
}

void run_list_remove(struct run *run)
{
    struct run_list *list = run->list;
    if (!list)
        return;
    if (run->previous)
        run->previous->next = run->next;
    else
        list->first = run->next;
    if (run->next)
        run->next->previous = run->previous;
    else
        list->last = run->previous;
    run->previous = run->next = NULL;
    run->list = NULL;
    list_count(list, run, -1);
}
