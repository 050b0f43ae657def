#include "cli/eval/task.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cluster/ask.h"
#include "cli/generate/input.h"
#include "common/philox.h"
#include "proto/millrace.pb-c.h"

enum { PIECE_BYTES = 1 << 15, TIMEOUT_S = 60 };

struct ids {
    uint32_t *ids;
    size_t n, capacity;
};

static enum status append(struct ids *all, const uint32_t *ids, size_t n, struct error *error)
{
    if (all->n + n > all->capacity) {
        size_t capacity = 2 * (all->n + n);
        uint32_t *larger = realloc(all->ids, capacity * sizeof *larger);
        if (!larger)
            return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu tokens", all->n + n);
        all->ids = larger;
        all->capacity = capacity;
    }
    if (n > 0)
        memcpy(all->ids + all->n, ids, n * sizeof *ids);
    all->n += n;
    return STATUS_OK;
}

/* How much of the text goes into one call. A piece ends with the last line break within PIECE_BYTES, else
 * with the first one after them. */
static size_t piece_size(const char *text, size_t size_bytes)
{
    if (size_bytes <= PIECE_BYTES)
        return size_bytes;
    const char *end = memrchr(text, '\n', PIECE_BYTES);
    if (!end)
        end = memchr(text + PIECE_BYTES, '\n', size_bytes - PIECE_BYTES);
    return end ? (size_t)(end - text) + 1 : size_bytes;
}

static enum status tokenize_piece(struct rpc_channel *channel, const char *text, size_t size_bytes,
                                  struct ids *all, struct error *error)
{
    Millrace__V1__TokenizeRequest request = MILLRACE__V1__TOKENIZE_REQUEST__INIT;
    ProtobufCMessage *answer = NULL;
    request.text = strndup(text, size_bytes);
    if (!request.text)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu bytes of text", size_bytes);
    enum status status = ask(channel, "/millrace.v1.Millrace/Tokenize", &request.base,
                             &millrace__v1__tokenize_response__descriptor, TIMEOUT_S, &answer, error);
    free(request.text);
    if (status != STATUS_OK)
        return status;
    const Millrace__V1__TokenizeResponse *tokens = (const Millrace__V1__TokenizeResponse *)answer;
    status = append(all, tokens->ids, tokens->n_ids, error);
    protobuf_c_message_free_unpacked(answer, NULL);
    return status;
}

static enum status tokenize_file(struct rpc_channel *channel, const char *file, struct ids *all,
                                 struct error *error)
{
    char *text;
    size_t size_bytes;
    enum status status = input_read(NULL, file, &text, &size_bytes, error);
    if (status != STATUS_OK)
        return status;
    for (size_t at = 0; at < size_bytes && status == STATUS_OK;) {
        size_t size = piece_size(text + at, size_bytes - at);
        status = tokenize_piece(channel, text + at, size, all, error);
        at += size;
    }
    free(text);
    return status;
}

/* The place of span `span`. Each span has a uniform of its own. */
static size_t span_place(size_t length, uint64_t seed, uint32_t task, uint32_t span)
{
    return (size_t)(philox_uniform(seed, task, span, PHILOX_DRAW) * (double)length);
}

void task_pin_spans(uint8_t *editable, size_t length, size_t n_pinned, uint64_t seed, uint32_t task)
{
    memset(editable, 1, length);
    for (uint32_t span = 0; n_pinned > 0; span++) {
        size_t first = span_place(length, seed, task, span);
        for (size_t i = first; i < length && i < first + SPAN_TOKENS && n_pinned > 0; i++) {
            n_pinned -= editable[i];
            editable[i] = 0;
        }
    }
}

static void mark(const struct task_options *options, size_t n_pinned, uint32_t index, uint8_t *editable)
{
    if (options->kind == TASK_INFILL) {
        task_pin_spans(editable, options->length, n_pinned, options->seed, index);
    } else {
        memset(editable, 1, options->length);
        memset(editable, 0, n_pinned);
    }
}

/* Cuts window `index` from the file. Windows begin evenly spaced. They overlap only in a short file. */
static enum status cut(const struct task_options *options, const struct ids *all, size_t n_pinned,
                       size_t index, struct task *task, struct error *error)
{
    size_t length = options->length, places = all->n - length + 1;
    size_t first = (size_t)((double)index * (double)places / (double)options->n_tasks);
    task->ids = calloc(length, sizeof *task->ids);
    task->editable = calloc(length, 1);
    if (!task->ids || !task->editable)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu texts", options->n_tasks);
    memcpy(task->ids, all->ids + first, length * sizeof *task->ids);
    mark(options, n_pinned, (uint32_t)index, task->editable);
    return STATUS_OK;
}

static enum status cut_all(const struct task_options *options, const struct ids *all, struct task_list *list,
                           struct error *error)
{
    size_t n_pinned = options->kind == TASK_PREFIX ? (size_t)options->prefix_tokens
                                                   : (size_t)(options->share * (double)options->length);
    enum status status = STATUS_OK;
    if (n_pinned >= options->length)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%zu pinned tokens leave nothing to write of a text of %zu (--length)", n_pinned,
                         options->length);
    if (all->n < options->length)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s has %zu tokens, fewer than a text of %zu (--length)", options->file, all->n,
                         options->length);
    list->n_editable = options->length - n_pinned;
    for (size_t i = 0; i < list->n && status == STATUS_OK; i++)
        status = cut(options, all, n_pinned, i, &list->tasks[i], error);
    return status;
}

enum status task_list_make(struct rpc_channel *channel, const struct task_options *options,
                           struct task_list *list, struct error *error)
{
    struct ids all = {0};
    *list = (struct task_list){.tasks = calloc(options->n_tasks, sizeof *list->tasks),
                               .n = options->n_tasks,
                               .length = options->length,
                               .n_editable = options->length};
    if (!list->tasks)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu texts", options->n_tasks);
    if (options->kind == TASK_UNCONDITIONAL)
        return STATUS_OK;
    enum status status = tokenize_file(channel, options->file, &all, error);
    if (status == STATUS_OK)
        status = cut_all(options, &all, list, error);
    free(all.ids);
    if (status != STATUS_OK)
        task_list_release(list);
    return status;
}

void task_list_release(struct task_list *list)
{
    for (size_t i = 0; list->tasks && i < list->n; i++) {
        free(list->tasks[i].ids);
        free(list->tasks[i].editable);
    }
    free(list->tasks);
    *list = (struct task_list){0};
}
