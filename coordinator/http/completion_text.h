#ifndef MILLRACE_COORDINATOR_HTTP_COMPLETION_TEXT_H
#define MILLRACE_COORDINATOR_HTTP_COMPLETION_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "coordinator/request/served_model.h"

/*
 * What a client of completions reads of a run: the text of some of its positions, as far as it is committed.
 *
 * Committed. A token of a uniform source may change until the last step, so nothing is committed before. A
 * token of a mask source stays once it is revealed, unless the request asked to revise: then the text in
 * front of the first mask is committed. A character is committed as a whole. With stop strings the end of
 * the text is held back as long as it could be the beginning of one.
 *
 * The prompt's last spaces are left to the model to write (coordinator/request/layout.c). So that prompt and
 * text together read as the text of all ids does, as many spaces as it wrote are taken off the beginning.
 */
struct completion_view {
    const struct served_model *model;
    int from, to;       /* positions [from, to) are read; from: the first editable one, or 0 with echo */
    int written_from;   /* the first editable position: stop strings count from there */
    bool commits_early; /* a mask source that does not revise */
    int n_spaces;       /* at the end of the prompt; 0 with echo */
    const char *const *stops; /* [n_stops] */
    size_t n_stops;
};

struct completion_text {
    char *text; /* malloc'ed, valid UTF-8 without NULs; its first `size` bytes are committed */
    size_t size;
    bool is_stopped; /* a stop string was found: nothing follows */
};

/* Reads the ids after a step; `is_last`: no step follows. RESOURCE_EXHAUSTED: no memory. */
enum status completion_text_read(const struct completion_view *view, const int32_t *ids, bool is_last,
                                 struct completion_text *text, struct error *error);

#endif
