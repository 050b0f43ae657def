#include "coordinator/monitoring/request_log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"

enum { REFUSALS_A_SECOND = 10 };

/* As Accepted tells it. */
struct request_id {
    char text[24];
};

static struct request_id id_of(const struct run *run)
{
    struct request_id id;
    snprintf(id.text, sizeof id.text, "%" PRIu64, run->number);
    return id;
}

/* May this line be written? */
static bool has_room(struct refusals_of_code *refusals)
{
    double second = floor(clock_seconds());
    if (second != refusals->second) {
        refusals->second = second;
        refusals->n_written = 0;
    }
    bool room = refusals->n_written < REFUSALS_A_SECOND;
    refusals->n_written += room;
    refusals->n_left_out += !room;
    return room;
}

void request_log_refused(struct refusal_log *log, const struct rpc_call *call, const struct trace *trace,
                         const struct error *error)
{
    struct refusals_of_code *refusals = &log->of_code[error->status];
    if (!has_room(refusals))
        return;
    const struct log_field fields[] = {
        {"code", status_name(error->status)},
        {"reason", error->text},
        {"caller", rpc_call_caller(call)->name},
        {"trace_id", trace->trace_id},
        {"span_id", trace->span_id},
        {"left_out", NULL, refusals->n_left_out ? refusals->n_left_out : NAN},
        {0},
    };
    log_event(LOG_INFO, "request refused", fields);
    refusals->n_left_out = 0;
}

static const char *message_of(enum status status)
{
    return status == STATUS_OK          ? "request finished"
           : status == STATUS_CANCELLED ? "request cancelled"
                                        : "request failed";
}

void request_log_ended(const struct rpc_call *call, const struct run *run, const struct ending *ending)
{
    const struct request_terms *terms = &run->request->terms;
    bool failed = ending->status != STATUS_OK && ending->status != STATUS_CANCELLED;
    bool began = run->began_at > 0;
    const struct request_id id = id_of(run);
    const struct log_field fields[] = {
        {"request", id.text},
        {"code", failed ? status_name(ending->status) : ""},
        {"reason", failed ? ending->text : ""},
        {"caller", rpc_call_caller(call)->name},
        {"replica", ending->replica ? ending->replica : ""},
        {"length", NULL, run->length},
        {"step", NULL, run->step},
        {"steps", NULL, run->steps},
        {"queue_seconds", NULL, began ? run->began_at - run->accepted_at : NAN},
        {"seconds", NULL, clock_seconds() - run->accepted_at},
        {"trace_id", terms->trace.trace_id},
        {"span_id", terms->trace.span_id},
        {0},
    };
    log_event(failed ? LOG_WARNING : LOG_INFO, message_of(ending->status), fields);
}

static void log_change(enum log_level level, const char *message, const struct scheduler_event *event)
{
    const struct run *run = event->run;
    const struct request_id id = id_of(run);
    const struct log_field fields[] = {
        {"request", id.text},
        {"replica", event->replica ? event->replica->name : ""},
        {"step", NULL, run->step},
        {"steps", NULL, run->steps},
        {"trace_id", run->request->terms.trace.trace_id},
        {"span_id", run->request->terms.trace.span_id},
        {0},
    };
    log_event(level, message, fields);
}

void request_log_event(const struct scheduler_event *event)
{
    switch (event->kind) {
    case EVENT_ACCEPTED:
        log_change(LOG_DEBUG, "request accepted", event);
        break;
    case EVENT_STARTED:
        log_change(LOG_DEBUG, event->again ? "request goes on" : "request started", event);
        break;
    case EVENT_PREEMPTED:
        log_change(LOG_INFO, "request preempted", event);
        break;
    case EVENT_MOVED:
        log_change(LOG_INFO, "request moved: its replica drains", event);
        break;
    case EVENT_LOST:
        log_change(LOG_WARNING, "request failed over: its replica is gone", event);
        break;
    default: /* refusals and endings are told where the call is known; steps are counted, not told */
        break;
    }
}
