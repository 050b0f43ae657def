/* The calls that are open, and those that wait for their first message. */
#include "common/clock.h"
#include "common/rpc/call_state.h"

void call_begin_waiting(struct rpc_call *call)
{
    struct call_list *waiting = &call->host->waiting;
    call->is_waiting = true;
    call->waits_until = clock_seconds() + call->host->request_seconds;
    call->previous_waiting = waiting->last;
    if (waiting->last)
        waiting->last->next_waiting = call;
    else
        waiting->first = call;
    waiting->last = call;
}

void call_end_waiting(struct rpc_call *call)
{
    struct call_list *waiting = &call->host->waiting;
    if (!call->is_waiting)
        return;
    if (call->previous_waiting)
        call->previous_waiting->next_waiting = call->next_waiting;
    else
        waiting->first = call->next_waiting;
    if (call->next_waiting)
        call->next_waiting->previous_waiting = call->previous_waiting;
    else
        waiting->last = call->previous_waiting;
    call->is_waiting = false;
}

void call_begin_open(struct rpc_call *call)
{
    struct call_list *open = &call->host->open;
    call->is_open = true;
    call->previous_open = open->last;
    if (open->last)
        open->last->next_open = call;
    else
        open->first = call;
    open->last = call;
}

void call_end_open(struct rpc_call *call)
{
    struct call_list *open = &call->host->open;
    if (!call->is_open)
        return;
    if (call->previous_open)
        call->previous_open->next_open = call->next_open;
    else
        open->first = call->next_open;
    if (call->next_open)
        call->next_open->previous_open = call->previous_open;
    else
        open->last = call->previous_open;
    call->is_open = false;
}
