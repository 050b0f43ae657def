#include "common/rpc/flood_watch.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

enum {
    FRAMING = 2, /* a byte of a message may cost as many on the wire: frames, TLS */
    AT_ONCE_BYTES = 64 << 20,
    ACKNOWLEDGED_SHARE = 64, /* a reader acknowledges so many bytes with one */
};

/* What is known of a connection between two looks. */
struct record {
    struct hash_node node;
    struct peer_key peer;
    uint64_t received_bytes, sent_bytes; /* at the last look */
    double vain_bytes, vain_calls;       /* what is left of them: they drain as time passes */
    double looked_at;
    bool
        was_over; /* at the last look already: for once, messages may be on their way to the server's count */
};

struct flood_watch {
    struct traffic *traffic;
    size_t max_message_bytes;
    struct hash_table records;
};

struct flood_watch *flood_watch_create(struct traffic *traffic, size_t max_message_bytes)
{
    struct flood_watch *watch = calloc(1, sizeof *watch);
    if (watch)
        *watch = (struct flood_watch){.traffic = traffic, .max_message_bytes = max_message_bytes};
    return watch;
}

/* Those that were looked at before `since` are gone. */
static void forget_before(struct flood_watch *watch, double since)
{
    struct hash_node *node = hash_table_next(&watch->records, NULL), *next;
    for (; node; node = next) {
        next = hash_table_next(&watch->records, node);
        if (((struct record *)node)->looked_at < since) {
            hash_table_remove(&watch->records, node);
            free(node);
        }
    }
}

void flood_watch_free(struct flood_watch *watch)
{
    if (!watch)
        return;
    forget_before(watch, 1e300);
    hash_table_release(&watch->records);
    free(watch);
}

static bool has_peer(const struct hash_node *node, const void *peer)
{
    return peer_key_equal(&((const struct record *)node)->peer, peer);
}

/* A new connection has had no look yet: all that it sent is new. NULL: no memory, the next look tries again.
 */
static struct record *record_of(struct flood_watch *watch, const struct peer_key *peer, double now,
                                bool *is_new)
{
    uint64_t hash = peer_key_hash(peer);
    struct record *record = (struct record *)hash_table_find(&watch->records, hash, has_peer, peer);
    *is_new = !record;
    if (record || !(record = calloc(1, sizeof *record)))
        return record;
    record->peer = *peer;
    record->looked_at = now;
    if (hash_table_add(&watch->records, &record->node, hash))
        return record;
    free(record);
    return NULL;
}

static double above_zero(double value)
{
    return value > 0 ? value : 0;
}

/* An address may come back with another connection: then the system counts from 0 again. */
static void note(struct record *record, const struct connection *connection,
                 const struct traffic_share *share, double now)
{
    double seconds = now - record->looked_at;
    bool is_new = connection->received_bytes < record->received_bytes;
    double received = (double)(connection->received_bytes - (is_new ? 0 : record->received_bytes));
    double sent = (double)(connection->sent_bytes - (is_new ? 0 : record->sent_bytes));
    double paid = FRAMING * (double)share->useful_bytes + sent / ACKNOWLEDGED_SHARE;
    record->vain_bytes =
        above_zero((is_new ? 0 : record->vain_bytes) + received - paid - seconds * FLOOD_BYTES_A_SECOND);
    record->vain_calls =
        above_zero((is_new ? 0 : record->vain_calls) - seconds * FLOOD_CALLS_A_SECOND) + share->n_vain;
    record->received_bytes = connection->received_bytes;
    record->sent_bytes = connection->sent_bytes;
    record->looked_at = now;
}

/* What nobody has read yet says nothing: this program may have been stopped. */
static const char *judge(const struct flood_watch *watch, const struct record *record,
                         const struct connection *connection, const struct traffic_share *share)
{
    double allowed = FLOOD_SLACK_BYTES + (double)share->n_reading * (double)watch->max_message_bytes;
    if (record->vain_calls > FLOOD_CALLS_A_SECOND)
        return "more than 1000 calls a second that it gave up at once, or that were refused";
    if (record->vain_bytes > allowed &&
        record->vain_bytes - (double)connection_unread_bytes(connection) > allowed)
        return "what it sends becomes no messages";
    return NULL;
}

void flood_watch_look(struct flood_watch *watch, struct connection_list *list, double now,
                      void (*hang_up)(void *context, const struct connection *connection, const char *why),
                      void *context)
{
    for (size_t i = 0; i < list->n; i++) {
        struct connection *connection = &list->items[i];
        struct record *record = record_of(watch, &connection->peer, now, &connection->is_new);
        if (!record)
            continue;
        struct traffic_share share = traffic_take(watch->traffic, &connection->peer);
        note(record, connection, &share, now);
        const char *why = judge(watch, record, connection, &share);
        if (why && (record->was_over || record->vain_bytes > AT_ONCE_BYTES))
            hang_up(context, connection, why);
        record->was_over = why;
    }
    traffic_forget(watch->traffic);
    forget_before(watch, now);
}
