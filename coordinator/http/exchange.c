#include "coordinator/http/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"

enum { STREAM_BLOCK_BYTES = 16 << 10 };

/* ---- bytes ---- */

static bool bytes_append(struct bytes *bytes, const char *from, size_t size)
{
    if (bytes->size + size + 1 > bytes->capacity) {
        size_t capacity = 2 * (bytes->size + size + 1);
        char *grown = realloc(bytes->at, capacity);
        if (!grown)
            return false;
        bytes->at = grown;
        bytes->capacity = capacity;
    }
    memcpy(bytes->at + bytes->size, from, size);
    bytes->size += size;
    bytes->at[bytes->size] = '\0';
    return true;
}

static void bytes_release(struct bytes *bytes)
{
    free(bytes->at);
    *bytes = (struct bytes){0};
}

/* ---- life ---- */

struct exchange *exchange_create(struct door *door, struct MHD_Connection *connection)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return NULL;
    exchange->door = door;
    exchange->connection = connection;
    exchange->began_at = clock_seconds();
    atomic_init(&exchange->n_references, 1);
    pthread_mutex_init(&exchange->lock, NULL);
    return exchange;
}

struct exchange *exchange_ref(struct exchange *exchange)
{
    atomic_fetch_add(&exchange->n_references, 1);
    return exchange;
}

void exchange_unref(struct exchange *exchange)
{
    if (!exchange || atomic_fetch_sub(&exchange->n_references, 1) > 1)
        return;
    if (exchange->work)
        exchange->work->free(exchange->work);
    bytes_release(&exchange->body);
    bytes_release(&exchange->answer);
    free(exchange->path);
    pthread_mutex_destroy(&exchange->lock);
    free(exchange);
}

bool exchange_receive(struct exchange *exchange, const char *bytes, size_t size)
{
    return bytes_append(&exchange->body, bytes, size);
}

/* ---- what other threads do; `wake` is called with the lock held ---- */

static void wake(struct exchange *exchange)
{
    if (!exchange->is_suspended || !exchange->connection)
        return;
    exchange->is_suspended = false;
    MHD_resume_connection(exchange->connection);
}

bool exchange_set_work(struct exchange *exchange, struct exchange_work *work)
{
    pthread_mutex_lock(&exchange->lock);
    exchange->work = work;
    bool is_there = !exchange->has_left;
    pthread_mutex_unlock(&exchange->lock);
    return is_there;
}

void exchange_set_deadline(struct exchange *exchange, double deadline_at)
{
    pthread_mutex_lock(&exchange->lock);
    exchange->deadline_at = deadline_at;
    pthread_mutex_unlock(&exchange->lock);
}

double exchange_deadline(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->lock);
    double deadline_at = exchange->is_late ? 0 : exchange->deadline_at;
    pthread_mutex_unlock(&exchange->lock);
    return deadline_at;
}

void exchange_set_header(struct exchange *exchange, const char *name, const char *value)
{
    pthread_mutex_lock(&exchange->lock);
    if (exchange->n_headers < EXCHANGE_HEADERS_MAX && !exchange->is_answered) {
        struct exchange_header *header = &exchange->headers[exchange->n_headers++];
        header->name = name;
        snprintf(header->value, sizeof header->value, "%s", value);
    }
    pthread_mutex_unlock(&exchange->lock);
}

void exchange_answer(struct exchange *exchange, unsigned code, const char *content_type, char *body,
                     size_t size)
{
    pthread_mutex_lock(&exchange->lock);
    if (exchange->is_answered) {
        free(body);
    } else {
        bytes_release(&exchange->answer);
        exchange->answer = (struct bytes){body, size, size};
        exchange->code = code;
        exchange->content_type = content_type;
        exchange->is_answered = exchange->is_complete = true;
        wake(exchange);
    }
    pthread_mutex_unlock(&exchange->lock);
}

void exchange_begin(struct exchange *exchange, const char *content_type)
{
    pthread_mutex_lock(&exchange->lock);
    if (!exchange->is_answered) {
        exchange->code = MHD_HTTP_OK;
        exchange->content_type = content_type;
        exchange->is_answered = exchange->is_stream = true;
        wake(exchange);
    }
    pthread_mutex_unlock(&exchange->lock);
}

/* Drops what the server has taken, now and then. */
static void make_room(struct exchange *exchange)
{
    struct bytes *answer = &exchange->answer;
    if (!exchange->n_written || exchange->n_written < answer->size / 2)
        return;
    memmove(answer->at, answer->at + exchange->n_written, answer->size - exchange->n_written);
    answer->size -= exchange->n_written;
    exchange->n_written = 0;
}

/* The server's thread may be waiting for the client, so the socket is shut down as well. */
static void cut(struct exchange *exchange)
{
    const union MHD_ConnectionInfo *info =
        exchange->connection
            ? MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
            : NULL;
    exchange->is_cut = true;
    if (info)
        shutdown(info->connect_fd, SHUT_RDWR);
    wake(exchange);
}

enum status exchange_send(struct exchange *exchange, const char *bytes, size_t size)
{
    enum status status = STATUS_OK;
    pthread_mutex_lock(&exchange->lock);
    if (!exchange->connection || exchange->is_cut || exchange->is_complete) {
        status = STATUS_CANCELLED;
    } else {
        make_room(exchange);
        if (exchange->answer.size - exchange->n_written + size > EXCHANGE_MOST_QUEUED ||
            !bytes_append(&exchange->answer, bytes, size)) {
            status = STATUS_RESOURCE_EXHAUSTED;
            cut(exchange);
        } else if (exchange->is_answered) {
            wake(exchange);
        }
    }
    pthread_mutex_unlock(&exchange->lock);
    return status;
}

void exchange_cut(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->lock);
    cut(exchange);
    pthread_mutex_unlock(&exchange->lock);
}

void exchange_end(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->lock);
    exchange->is_complete = true;
    wake(exchange);
    pthread_mutex_unlock(&exchange->lock);
}

/* ---- nobody waits any more ---- */

static void tell_work(struct exchange *exchange, bool is_late)
{
    struct exchange_work *work = NULL;
    pthread_mutex_lock(&exchange->lock);
    if (!exchange->has_left && !exchange->is_late)
        work = exchange->work;
    exchange->has_left |= !is_late;
    exchange->is_late |= is_late;
    pthread_mutex_unlock(&exchange->lock);
    if (work)
        work->leave(work);
}

void exchange_leave(struct exchange *exchange)
{
    tell_work(exchange, false);
}

void exchange_expire(struct exchange *exchange)
{
    tell_work(exchange, true);
}

bool exchange_is_late(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->lock);
    bool is_late = exchange->is_late;
    pthread_mutex_unlock(&exchange->lock);
    return is_late;
}

bool exchange_has_left(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->lock);
    bool has_left = exchange->has_left || exchange->is_late;
    pthread_mutex_unlock(&exchange->lock);
    return has_left;
}

/* ---- the server's thread ---- */

/* The next bytes of a stream, or none, with the connection suspended until there are. */
static ssize_t read_stream(void *context, uint64_t position, char *to, size_t size)
{
    struct exchange *exchange = context;
    ssize_t result = 0;
    (void)position;
    pthread_mutex_lock(&exchange->lock);
    size_t left = exchange->answer.size - exchange->n_written;
    if (exchange->is_cut) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (left > 0) {
        result = (ssize_t)(left < size ? left : size);
        memcpy(to, exchange->answer.at + exchange->n_written, (size_t)result);
        exchange->n_written += (size_t)result;
    } else if (exchange->is_complete) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (!exchange->has_left) {
        exchange->is_suspended = true;
        MHD_suspend_connection(exchange->connection);
    } else {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    }
    pthread_mutex_unlock(&exchange->lock);
    return result;
}

static struct MHD_Response *make_response(struct exchange *exchange)
{
    if (exchange->is_stream)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_stream, exchange,
                                                 NULL);
    struct bytes answer = exchange->answer;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer.size, answer.at, MHD_RESPMEM_MUST_FREE);
    if (response)
        exchange->answer = (struct bytes){0};
    return response;
}

enum exchange_state exchange_take_answer(struct exchange *exchange, struct MHD_Response **response)
{
    enum exchange_state state = EXCHANGE_READY;
    pthread_mutex_lock(&exchange->lock);
    if (exchange->is_cut || (exchange->has_left && !exchange->is_answered)) {
        state = EXCHANGE_BROKEN;
    } else if (!exchange->is_answered) {
        state = EXCHANGE_WAITS;
        exchange->is_suspended = true;
        MHD_suspend_connection(exchange->connection);
    } else if (!(*response = make_response(exchange))) {
        state = EXCHANGE_BROKEN;
    } else {
        MHD_add_response_header(*response, MHD_HTTP_HEADER_CONTENT_TYPE, exchange->content_type);
        for (int i = 0; i < exchange->n_headers; i++)
            MHD_add_response_header(*response, exchange->headers[i].name, exchange->headers[i].value);
    }
    pthread_mutex_unlock(&exchange->lock);
    return state;
}

void exchange_over(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->lock);
    exchange->connection = NULL;
    exchange->is_suspended = false;
    pthread_mutex_unlock(&exchange->lock);
    exchange_leave(exchange);
}
