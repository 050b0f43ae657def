#include "worker/engine/request_log.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/log.h"
#include "common/status.h"
#include "common/ticket.h"
#include "common/trace.h"

enum { ID_SIZE = 24 };

static const char *id_of(uint64_t ticket, char id[ID_SIZE])
{
    snprintf(id, ID_SIZE, "%" PRIu64, ticket_number(ticket));
    return id;
}

void request_log_came(const Millrace__Replica__V1__Submit *submit)
{
    char id[ID_SIZE];
    struct trace trace = {0};
    trace_parse(submit->traceparent, &trace);
    const struct log_field fields[] = {
        {"request", id_of(submit->sequence, id)},
        {"length", NULL, (double)submit->n_ids},
        {"step", NULL, submit->step},
        {"steps", NULL, submit->steps},
        {"trace_id", trace.trace_id},
        {"parent_span_id", trace.parent_id},
        {0},
    };
    log_event(LOG_DEBUG, "request came", fields);
}

void request_log_done(const Millrace__Replica__V1__Report *report)
{
    char id[ID_SIZE];
    const struct log_field fields[] = {
        {"request", id_of(report->sequence, id)}, {"steps", NULL, report->step}, {0}};
    log_event(LOG_DEBUG, "request done", fields);
}

void request_log_dropped(uint64_t ticket)
{
    char id[ID_SIZE];
    log_event(LOG_DEBUG, "request dropped", (struct log_field[]){{"request", id_of(ticket, id)}, {0}});
}

void request_log_rejected(const Millrace__Replica__V1__Rejected *rejected)
{
    char id[ID_SIZE];
    const struct log_field fields[] = {{"request", id_of(rejected->sequence, id)},
                                       {"code", status_name((enum status)rejected->status)},
                                       {"reason", rejected->reason},
                                       {0}};
    log_event(LOG_WARNING, "request rejected", fields);
}
