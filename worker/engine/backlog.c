#include "worker/engine/backlog.h"

#include <stdlib.h>
#include <string.h>

bool backlog_init(struct backlog *backlog, int max_sequences, int64_t max_tokens)
{
    *backlog = (struct backlog){.max_sequences = max_sequences, .max_tokens = max_tokens};
    backlog->entries = calloc((size_t)max_sequences, sizeof *backlog->entries);
    return backlog->entries;
}

void backlog_release(struct backlog *backlog, void (*free_submission)(void *submission))
{
    backlog_clear(backlog, free_submission);
    free(backlog->entries);
    *backlog = (struct backlog){0};
}

bool backlog_push(struct backlog *backlog, const struct mail *mail, int length)
{
    if (backlog->n == backlog->max_sequences || backlog->n_tokens + length > backlog->max_tokens)
        return false;
    backlog->entries[backlog->n++] = (struct backlog_entry){*mail, length};
    backlog->n_tokens += length;
    return true;
}

static struct mail take(struct backlog *backlog, int index)
{
    struct backlog_entry entry = backlog->entries[index];
    backlog->n--;
    backlog->n_tokens -= entry.length;
    memmove(&backlog->entries[index], &backlog->entries[index + 1],
            (size_t)(backlog->n - index) * sizeof *backlog->entries);
    return entry.mail;
}

struct mail backlog_pop(struct backlog *backlog)
{
    return take(backlog, 0);
}

bool backlog_remove(struct backlog *backlog, uint64_t number, void (*free_submission)(void *submission))
{
    for (int i = 0; i < backlog->n; i++) {
        if (backlog->entries[i].mail.number == number) {
            free_submission(take(backlog, i).submission);
            return true;
        }
    }
    return false;
}

void backlog_clear(struct backlog *backlog, void (*free_submission)(void *submission))
{
    while (backlog->n)
        free_submission(backlog_pop(backlog).submission);
}
