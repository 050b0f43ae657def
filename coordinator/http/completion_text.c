#include "coordinator/http/completion_text.h"

#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "coordinator/request/render_text.h"

/* The end of the positions whose tokens will not change any more. */
static int committed_to(const struct completion_view *view, const int32_t *ids, bool is_last)
{
    int to = view->from;
    if (is_last)
        return view->to;
    if (!view->commits_early)
        return view->from < view->written_from ? view->written_from : view->from;
    while (to < view->to && ids[to] != view->model->config.mask_token)
        to++;
    return to;
}

/* The bytes of ids[0 .. n), as a string; more ids may follow if `is_open`: a character that they could
 * complete is left out. */
static enum status decode(const struct served_model *model, const int32_t *ids, int n, bool is_open,
                          char **text, struct error *error)
{
    char *bytes;
    size_t size;
    enum status status = tokenizer_decode(model->tokenizer, ids, (size_t)n, &bytes, &size, error);
    if (status != STATUS_OK)
        return status;
    *text = text_repair(bytes, is_open ? utf8_whole_size(bytes, size) : size);
    free(bytes);
    return *text ? STATUS_OK : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the text");
}

static void take_off_spaces(char *text, int n_spaces)
{
    int n = 0;
    while (n < n_spaces && text[n] == ' ')
        n++;
    memmove(text, text + n, strlen(text) - (size_t)n + 1);
}

/* The first byte of the first stop string in the text; NULL: there is none. */
static char *find_stop(const struct completion_view *view, char *text)
{
    char *first = NULL;
    for (size_t i = 0; i < view->n_stops; i++) {
        char *found = strstr(text, view->stops[i]);
        if (found && (!first || found < first))
            first = found;
    }
    return first;
}

/* How many bytes at the end of the text could be the beginning of a stop string. */
static size_t held_back(const struct completion_view *view, const char *text)
{
    size_t size = strlen(text), most = 0;
    for (size_t i = 0; i < view->n_stops; i++) {
        size_t n = strlen(view->stops[i]) - 1;
        for (n = n < size ? n : size; n > most; n--) {
            if (!memcmp(text + size - n, view->stops[i], n))
                most = n;
        }
    }
    return most;
}

enum status completion_text_read(const struct completion_view *view, const int32_t *ids, bool is_last,
                                 struct completion_text *text, struct error *error)
{
    int to = committed_to(view, ids, is_last);
    bool is_open = to < view->to;
    char *echoed = NULL;
    *text = (struct completion_text){0};
    enum status status = decode(view->model, ids + view->from, to - view->from, is_open, &text->text, error);
    if (status == STATUS_OK && view->from < view->written_from)
        status = decode(view->model, ids + view->from, view->written_from - view->from, true, &echoed, error);
    if (status != STATUS_OK) {
        free(text->text);
        return status;
    }
    take_off_spaces(text->text, view->n_spaces);
    char *written = text->text + (echoed ? strlen(echoed) : 0), *stop = find_stop(view, written);
    text->is_stopped = stop != NULL;
    if (stop)
        *stop = '\0';
    text->size = strlen(text->text) - (is_open && !stop ? held_back(view, written) : 0);
    free(echoed);
    return STATUS_OK;
}
