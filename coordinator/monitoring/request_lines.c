#include "coordinator/monitoring/request_lines.h"

#include <math.h>

#include "common/clock.h"
#include "common/log.h"

enum { REFUSALS_A_SECOND = 10 };

/* Counts the line. May it be written? */
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

void request_lines_refused(struct refusal_log *log, const struct line_subject *subject,
                           const struct error *error)
{
    struct refusals_of_code *refusals = &log->of_code[error->status];
    if (!has_room(refusals))
        return;
    const struct log_field fields[] = {
        {"code", status_name(error->status)},
        {"reason", error->text},
        {"caller", subject->caller},
        {"trace_id", subject->trace->trace_id},
        {"span_id", subject->trace->span_id},
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

void request_lines_ended(const struct line_subject *subject, const struct request_ended *ended)
{
    bool failed = ended->status != STATUS_OK && ended->status != STATUS_CANCELLED;
    const struct log_field fields[] = {
        {"request", subject->id},
        {"code", failed ? status_name(ended->status) : ""},
        {"reason", failed ? ended->text : ""},
        {"caller", subject->caller},
        {"replica", ended->replica},
        {"length", NULL, ended->length},
        {"step", NULL, ended->step},
        {"steps", NULL, ended->steps},
        {"queue_seconds", NULL, ended->queue_seconds},
        {"seconds", NULL, ended->seconds},
        {"trace_id", subject->trace->trace_id},
        {"span_id", subject->trace->span_id},
        {0},
    };
    log_event(failed ? LOG_WARNING : LOG_INFO, message_of(ended->status), fields);
}

static void log_change(enum log_level level, const char *message, const struct line_subject *subject,
                       const struct request_moved *moved)
{
    const struct log_field fields[] = {
        {"request", subject->id},
        {"replica", moved->replica},
        {"step", NULL, moved->step},
        {"steps", NULL, moved->steps},
        {"trace_id", subject->trace->trace_id},
        {"span_id", subject->trace->span_id},
        {0},
    };
    log_event(level, message, fields);
}

void request_lines_accepted(const struct line_subject *subject, const struct request_accepted *accepted)
{
    const struct request_moved nowhere = {.replica = "", .steps = (uint32_t)accepted->steps};
    log_change(LOG_DEBUG, "request accepted", subject, &nowhere);
}

void request_lines_moved(const struct line_subject *subject, const struct request_moved *moved)
{
    static const struct {
        enum log_level level;
        const char *message;
    } lines[] = {
        [MOVE_STARTED] = {LOG_DEBUG, "request started"},
        [MOVE_WENT_ON] = {LOG_DEBUG, "request goes on"},
        [MOVE_PREEMPTED] = {LOG_INFO, "request preempted"},
        [MOVE_DRAINED] = {LOG_INFO, "request moved: its replica drains"},
        [MOVE_LOST] = {LOG_WARNING, "request failed over: its replica is gone"},
    };
    log_change(lines[moved->move].level, lines[moved->move].message, subject, moved);
}
