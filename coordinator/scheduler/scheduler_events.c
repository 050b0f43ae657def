/* Who hears of events: the process, the observer and the request's sink. */
#include "coordinator/scheduler/scheduler_state.h"

#include "common/clock.h"

void scheduler_note_change(struct scheduler *scheduler)
{
    if (scheduler->options.changed)
        scheduler->options.changed(scheduler->options.context);
}

/* Some events are moves: the request's sink hears of them too. */
static void tell_client(struct scheduler *scheduler, const struct scheduler_event *event)
{
    struct delivery_list *claimed = &scheduler->claimed;
    if (event->kind == EVENT_STARTED)
        delivery_move(claimed, event->run, event->again ? MOVE_WENT_ON : MOVE_STARTED, event->replica->name);
    else if (event->kind == EVENT_PREEMPTED)
        delivery_move(claimed, event->run, MOVE_PREEMPTED, event->replica->name);
    else if (event->kind == EVENT_MOVED)
        delivery_move(claimed, event->run, MOVE_DRAINED, event->replica->name);
    else if (event->kind == EVENT_LOST)
        delivery_move(claimed, event->run, MOVE_LOST, event->replica->name);
}

void scheduler_tell(struct scheduler *scheduler, struct scheduler_event event)
{
    const struct scheduler_observer *observer = &scheduler->options.observer;
    event.now = clock_seconds();
    if (event.run) {
        event.class = event.run->class;
        if (!event.replica)
            event.replica = event.run->replica;
    }
    tell_client(scheduler, &event);
    if (observer->event)
        observer->event(observer->context, &event);
}
