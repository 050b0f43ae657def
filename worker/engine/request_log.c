#include "worker/engine/request_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/status.h"
#include "common/ticket.h"
#include "common/trace.h"

enum { ID_SIZE = 64 };

struct entry {
    struct hash_node node;
    uint64_t ticket;
    char id[ID_SIZE];
};

/* As a line shows it. */
struct shown_id {
    char text[ID_SIZE];
};

void request_log_init(struct request_log *log)
{
    *log = (struct request_log){.ids = {0}};
    pthread_mutex_init(&log->lock, NULL);
}

void request_log_clear(struct request_log *log)
{
    pthread_mutex_lock(&log->lock);
    for (struct hash_node *node; (node = hash_table_next(&log->ids, NULL));) {
        hash_table_remove(&log->ids, node);
        free(node);
    }
    pthread_mutex_unlock(&log->lock);
}

void request_log_release(struct request_log *log)
{
    request_log_clear(log);
    hash_table_release(&log->ids);
    pthread_mutex_destroy(&log->lock);
}

static bool has_ticket(const struct hash_node *node, const void *ticket)
{
    return ((const struct entry *)node)->ticket == *(const uint64_t *)ticket;
}

/* The id of a request that is leaving. */
static struct shown_id take_id(struct request_log *log, uint64_t ticket)
{
    struct shown_id id;
    pthread_mutex_lock(&log->lock);
    struct entry *entry =
        (struct entry *)hash_table_find(&log->ids, hash_number(ticket), has_ticket, &ticket);
    if (entry)
        hash_table_remove(&log->ids, &entry->node);
    pthread_mutex_unlock(&log->lock);
    if (entry)
        snprintf(id.text, sizeof id.text, "%s", entry->id);
    else
        snprintf(id.text, sizeof id.text, "%" PRIu64, ticket_number(ticket));
    free(entry);
    return id;
}

static void keep_id(struct request_log *log, uint64_t ticket, const char *id)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return;
    entry->ticket = ticket;
    snprintf(entry->id, sizeof entry->id, "%s", id);
    pthread_mutex_lock(&log->lock);
    if (!hash_table_add(&log->ids, &entry->node, hash_number(ticket)))
        free(entry);
    pthread_mutex_unlock(&log->lock);
}

void request_log_came(struct request_log *log, const Millrace__Replica__V1__Submit *submit)
{
    struct shown_id old = take_id(log, submit->sequence); /* of a ticket that came twice; else its number */
    const char *id = *submit->request_id ? submit->request_id : old.text;
    struct trace trace = {0};
    trace_parse(submit->traceparent, &trace);
    keep_id(log, submit->sequence, id);
    const struct log_field fields[] = {
        {"request", id},
        {"length", NULL, (double)submit->n_ids},
        {"step", NULL, submit->step},
        {"steps", NULL, submit->steps},
        {"trace_id", trace.trace_id},
        {"parent_span_id", trace.parent_id},
        {0},
    };
    log_event(LOG_DEBUG, "request came", fields);
}

void request_log_done(struct request_log *log, const Millrace__Replica__V1__Report *report)
{
    struct shown_id id = take_id(log, report->sequence);
    const struct log_field fields[] = {{"request", id.text}, {"steps", NULL, report->step}, {0}};
    log_event(LOG_DEBUG, "request done", fields);
}

void request_log_dropped(struct request_log *log, uint64_t ticket)
{
    struct shown_id id = take_id(log, ticket);
    log_event(LOG_DEBUG, "request dropped", (struct log_field[]){{"request", id.text}, {0}});
}

void request_log_rejected(struct request_log *log, const Millrace__Replica__V1__Rejected *rejected)
{
    struct shown_id id = take_id(log, rejected->sequence);
    const struct log_field fields[] = {{"request", id.text},
                                       {"code", status_name((enum status)rejected->status)},
                                       {"reason", rejected->reason},
                                       {0}};
    log_event(LOG_WARNING, "request rejected", fields);
}
